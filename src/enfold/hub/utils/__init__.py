"""The helpers that programs take from `huggingface_hub.utils`."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.hub.auth": ["get_token"],
        "enfold.hub.checks": [
            "are_progress_bars_disabled",
            "is_jinja_available",
            "send_telemetry",
            "validate_hf_hub_args",
            "yaml_dump",
        ],
        "enfold.hub.cache": ["cached_assets_path"],
        "enfold.hub.constants": ["is_offline_mode"],
        "enfold.hub.errors": [
            "BadRequestError",
            "CacheNotFound",
            "CorruptedCacheException",
            "DisabledRepoError",
            "EntryNotFoundError",
            "FileMetadataError",
            "GatedRepoError",
            "HFValidationError",
            "HfHubHTTPError",
            "LocalEntryNotFoundError",
            "LocalTokenNotFoundError",
            "OfflineModeIsEnabled",
            "RemoteEntryNotFoundError",
            "RepositoryNotFoundError",
            "RevisionNotFoundError",
        ],
        "enfold.hub.http": ["build_hf_headers", "get_session", "hf_raise_for_status"],
        "enfold.hub.uris": ["HfUri", "parse_hf_uri"],
        "enfold.hub.scan": [
            "CachedFileInfo",
            "CachedIncompleteFileInfo",
            "CachedRepoInfo",
            "CachedRevisionInfo",
            "DeleteCacheStrategy",
            "HFCacheInfo",
            "scan_cache_dir",
        ],
        "enfold.hub.snapshot": ["filter_repo_objects"],
        "enfold.hub.validation": ["validate_repo_id"],
        "enfold.progress": ["disable_progress_bars", "enable_progress_bars"],
    },
)
