"""A module that holds parts of ``os`` under several names, for tests that swap them."""

import os
import os as renamed_os
from os import path
from os import path as renamed_path
from os.path import join
from os.path import join as renamed_join

open = open

__all__ = ["join", "open", "os", "path", "renamed_join", "renamed_os", "renamed_path"]
