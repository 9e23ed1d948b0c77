"""Export: a folder of files, each reloaded and compared before it is called exported."""

from workbench.export.folder import FORMATS, check_folder, check_formats, export, verified_files

__all__ = ["FORMATS", "check_folder", "check_formats", "export", "verified_files"]
