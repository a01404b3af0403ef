"""Everything the Hub does by a call: `HfApi`, and its methods as functions that use the environment's Hub and token."""

from __future__ import annotations

from enfold.hub.api_collections import CollectionCalls
from enfold.hub.api_commits import CommitCalls
from enfold.hub.api_discussions import DiscussionCalls
from enfold.hub.api_lists import ListCalls
from enfold.hub.api_people import PeopleCalls
from enfold.hub.api_spaces import SpaceCalls
from enfold.hub.api_storage import StorageCalls
from enfold.hub.api_webhooks import WebhookCalls

__all__ = [
    "HfApi",
    "accept_access_request",
    "add_collection_item",
    "add_space_secret",
    "add_space_variable",
    "api",
    "auth_check",
    "cancel_access_request",
    "change_discussion_status",
    "comment_discussion",
    "create_branch",
    "create_collection",
    "create_commit",
    "create_discussion",
    "create_pull_request",
    "create_repo",
    "create_tag",
    "create_webhook",
    "dataset_info",
    "delete_branch",
    "delete_collection",
    "delete_collection_item",
    "delete_file",
    "delete_files",
    "delete_folder",
    "delete_repo",
    "delete_space_secret",
    "delete_space_variable",
    "delete_tag",
    "delete_webhook",
    "disable_webhook",
    "duplicate_repo",
    "edit_discussion_comment",
    "enable_webhook",
    "file_exists",
    "get_collection",
    "get_dataset_tags",
    "get_discussion_details",
    "get_full_repo_name",
    "get_model_tags",
    "get_organization_overview",
    "get_paths_info",
    "get_repo_discussions",
    "get_safetensors_metadata",
    "get_sharded_safetensors_metadata",
    "get_space_runtime",
    "get_space_secrets",
    "get_space_variables",
    "get_token_permission",
    "get_user_overview",
    "get_webhook",
    "grant_access",
    "hide_discussion_comment",
    "like",
    "list_accepted_access_requests",
    "list_collections",
    "list_datasets",
    "list_lfs_files",
    "list_liked_repos",
    "list_models",
    "list_organization_followers",
    "list_organization_members",
    "list_pending_access_requests",
    "list_rejected_access_requests",
    "list_repo_commits",
    "list_repo_files",
    "list_repo_likers",
    "list_repo_refs",
    "list_repo_tree",
    "list_spaces",
    "list_user_followers",
    "list_user_following",
    "list_user_repos",
    "list_webhooks",
    "merge_pull_request",
    "model_info",
    "move_repo",
    "parse_safetensors_file_metadata",
    "pause_space",
    "permanently_delete_lfs_files",
    "preupload_lfs_files",
    "reject_access_request",
    "rename_discussion",
    "repo_exists",
    "repo_info",
    "request_space_hardware",
    "resolve_revision",
    "restart_space",
    "revision_exists",
    "run_as_future",
    "set_space_sleep_time",
    "space_info",
    "super_squash_history",
    "unlike",
    "update_collection_item",
    "update_collection_metadata",
    "update_repo_settings",
    "update_repo_visibility",
    "update_webhook",
    "upload_file",
    "upload_folder",
    "upload_large_folder",
    "verify_repo_checksums",
    "wait_for_space",
    "whoami",
]


class HfApi(
    CommitCalls, ListCalls, DiscussionCalls, PeopleCalls, StorageCalls, CollectionCalls, WebhookCalls, SpaceCalls
):
    """A Hub and the token to use with it.

    Args:
        endpoint: the Hub's address; ``HF_ENDPOINT`` by default.
        token: a token; True requires the saved one, False sends none, None sends it when there is one.
        library_name: who asks, for the Hub's log.
        library_version: its version.
        user_agent: more for the Hub's log.
        headers: further headers of downloads.

    Example:
        >>> HfApi("http://127.0.0.1:8420").endpoint
        'http://127.0.0.1:8420'
    """


#: the Hub that the environment names, for the functions below
api = HfApi()
whoami = api.whoami
get_token_permission = api.get_token_permission
get_full_repo_name = api.get_full_repo_name
auth_check = api.auth_check
create_repo = api.create_repo
delete_repo = api.delete_repo
move_repo = api.move_repo
update_repo_settings = api.update_repo_settings
update_repo_visibility = api.update_repo_visibility
repo_info = api.repo_info
model_info = api.model_info
dataset_info = api.dataset_info
space_info = api.space_info
repo_exists = api.repo_exists
revision_exists = api.revision_exists
file_exists = api.file_exists
list_models = api.list_models
list_datasets = api.list_datasets
list_spaces = api.list_spaces
list_repo_tree = api.list_repo_tree
list_repo_files = api.list_repo_files
get_paths_info = api.get_paths_info
create_commit = api.create_commit
preupload_lfs_files = api.preupload_lfs_files
upload_file = api.upload_file
upload_folder = api.upload_folder
upload_large_folder = api.upload_large_folder
delete_file = api.delete_file
delete_files = api.delete_files
delete_folder = api.delete_folder
list_repo_refs = api.list_repo_refs
list_repo_commits = api.list_repo_commits
create_branch = api.create_branch
create_tag = api.create_tag
delete_branch = api.delete_branch
delete_tag = api.delete_tag
change_discussion_status = api.change_discussion_status
comment_discussion = api.comment_discussion
create_discussion = api.create_discussion
create_pull_request = api.create_pull_request
edit_discussion_comment = api.edit_discussion_comment
get_discussion_details = api.get_discussion_details
get_repo_discussions = api.get_repo_discussions
hide_discussion_comment = api.hide_discussion_comment
merge_pull_request = api.merge_pull_request
rename_discussion = api.rename_discussion
get_user_overview = api.get_user_overview
get_organization_overview = api.get_organization_overview
list_organization_members = api.list_organization_members
list_organization_followers = api.list_organization_followers
list_user_followers = api.list_user_followers
list_user_following = api.list_user_following
like = api.like
unlike = api.unlike
list_liked_repos = api.list_liked_repos
list_repo_likers = api.list_repo_likers
list_pending_access_requests = api.list_pending_access_requests
list_accepted_access_requests = api.list_accepted_access_requests
list_rejected_access_requests = api.list_rejected_access_requests
accept_access_request = api.accept_access_request
reject_access_request = api.reject_access_request
cancel_access_request = api.cancel_access_request
grant_access = api.grant_access
list_lfs_files = api.list_lfs_files
permanently_delete_lfs_files = api.permanently_delete_lfs_files
super_squash_history = api.super_squash_history
duplicate_repo = api.duplicate_repo
list_user_repos = api.list_user_repos
get_model_tags = api.get_model_tags
get_dataset_tags = api.get_dataset_tags
parse_safetensors_file_metadata = api.parse_safetensors_file_metadata
get_safetensors_metadata = api.get_safetensors_metadata
get_sharded_safetensors_metadata = api.get_sharded_safetensors_metadata
list_collections = api.list_collections
get_collection = api.get_collection
create_collection = api.create_collection
update_collection_metadata = api.update_collection_metadata
delete_collection = api.delete_collection
add_collection_item = api.add_collection_item
update_collection_item = api.update_collection_item
delete_collection_item = api.delete_collection_item
list_webhooks = api.list_webhooks
get_webhook = api.get_webhook
create_webhook = api.create_webhook
update_webhook = api.update_webhook
enable_webhook = api.enable_webhook
disable_webhook = api.disable_webhook
delete_webhook = api.delete_webhook
resolve_revision = api.resolve_revision
verify_repo_checksums = api.verify_repo_checksums
run_as_future = api.run_as_future
get_space_runtime = api.get_space_runtime
wait_for_space = api.wait_for_space
pause_space = api.pause_space
restart_space = api.restart_space
request_space_hardware = api.request_space_hardware
set_space_sleep_time = api.set_space_sleep_time
get_space_variables = api.get_space_variables
add_space_variable = api.add_space_variable
delete_space_variable = api.delete_space_variable
get_space_secrets = api.get_space_secrets
add_space_secret = api.add_space_secret
delete_space_secret = api.delete_space_secret
