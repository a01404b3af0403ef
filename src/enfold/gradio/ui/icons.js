// Icons beyond those of every page.

import { PATHS } from "./core.js";

Object.assign(PATHS, {
  reset: "M4 4v6h6M4.5 10a8 8 0 11-.5 4",
  chevron: "M6 9l6 6 6-6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  expand: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 100 7 3.5 3.5 0 000-7",
  mic: "M12 3a3 3 0 00-3 3v6a3 3 0 006 0V6a3 3 0 00-3-3zM6 11a6 6 0 0012 0M12 17v4",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  stop: "M6 6h12v12H6z",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 010 12",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 000 12",
  retry: "M20 5v6h-6M19 11a8 8 0 10.5 4",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  up: "M7 11v9H4v-9zM7 11l4-8a2 2 0 013 2l-1 5h6l-2 10H7",
  down: "M7 13V4H4v9zM7 13l4 8a2 2 0 003-2l-1-5h6L17 4H7",
  plus: "M12 5v14M5 12h14",
  send: "M4 12l16-8-6 16-3-7z",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  folder: "M3 6h7l2 2h9v11H3z",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14M16 16l5 5",
  menu: "M4 6h16M4 12h16M4 18h16",
});
