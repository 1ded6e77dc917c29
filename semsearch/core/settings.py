"""Settings from the environment and configuration files. No other module reads the environment.

A value comes from a flag, else the environment (`SEMSEARCH_CHAT__MODEL`; `__` nests), else `semsearch.toml` of the
working folder or the file that replaces it (`--config`), else the user's own `semsearch.toml`, else the default.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from .allowed_hosts import read_allowed_hosts
from .config_files import (
    CONFIG_FILE,
    ConfigFile,
    find_user_folder,
    read_config,
)
from .config_trust import check_trust
from .cors_origins import read_cors_origins
from .endpoints import OPENAI_URL, Endpoint, Secret
from .errors import InvalidError
from .identity_settings import read_identity_settings
from .profile_settings import read_profiles
from .proxy_addresses import read_proxy_addresses
from .public_url import read_public_url
from .setting_names import is_setting_variable
from .setting_sources import SettingSource, describe_sources
from .settings_reader import CONFIG_VARIABLE, MAX_TEMPERATURE, MAX_TOKENS, OPENAI_KEY_VARIABLE, SettingsReader
from .source_weights import DEFAULT_SOURCE_WEIGHTS, read_source_weights
from .types.answer_requests import Profile, SupportPolicy
from .types.identities import IdentitySettings
from .types.usage import Budget, Price

__all__ = [
    "CONFIG_VARIABLE",
    "MAX_TEMPERATURE",
    "MAX_TOKENS",
    "OPENAI_URL",
    "Endpoint",
    "LogFormat",
    "Secret",
    "Settings",
    "allows_color",
    "allows_links",
    "find_trust_record",
    "find_user_config",
    "list_setting_sources",
    "read_user_limits",
    "set_metrics_folder",
]

LogFormat = Literal["text", "json"]

DEFAULT_ANSWER_THRESHOLD = 0.6
DEFAULT_ORIGINALS_GIB = 2.0

INSTRUCTION_VARIABLES = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
"""They choose the instructions that numpy and its library compute with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. With the defaults no server is used."""

    data_dir: Path = Path("indexes")
    embeddings: Endpoint = field(default_factory=Endpoint)
    max_batch_inputs: int = 2048
    concurrency: int = 4
    """Maximum number of simultaneous embedding requests."""
    embedding_cache_gib: float = 4.0
    """Maximum size of the embedding cache on disk."""
    embedder: str | None = None
    """SPEC of the embedder of new collections; None is the built-in one."""
    chat: Endpoint = field(default_factory=Endpoint)
    chat_model: str | None = None
    has_openai_key: bool = False
    """Whether OPENAI_API_KEY is set, even if no endpoint uses it."""
    max_tokens: int = 800
    temperature: float | None = None
    system: str | None = None
    prompt_file: Path | None = None
    """Replaces the built-in text about the form of answers; a profile may have its own."""
    policy: SupportPolicy = "flag"
    check: Endpoint = field(default_factory=lambda: Endpoint(timeout=10.0))
    check_model: str | None = None
    """Chat model that judges the sentences whose support the rules leave open; None means that they stay partial."""
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Profiles of the configuration files; the library adds the built-in ones."""
    budget: Budget = field(default_factory=Budget)
    prices: tuple[Price, ...] = ()
    """The user's prices, which override the built-in ones."""
    collapse: bool = True
    """Whether near-duplicates of a better chunk are left out of the results."""
    per_document: int = 0
    """Maximum number of chunks of one document in the results; 0 is no limit."""
    answer_threshold: float = DEFAULT_ANSWER_THRESHOLD
    """The lowest confidence with which an excerpt is shown as the answer."""
    source_weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_SOURCE_WEIGHTS)
    """Factor of the score of a chunk, by the role of its source; empty if it is off."""
    index_thresholds: tuple[int, int] | None = None
    """Number of floats from which vectors are product-quantized, and number of chunks from which codes are in lists."""
    originals_gib: float = DEFAULT_ORIGINALS_GIB
    """Maximum size of the originals that are kept in one collection; 0 keeps none."""
    keep_days: int = 90
    """Days for which answers and sessions are kept."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the HTTP service is reached, besides those of the loopback."""
    public_url: str | None = None
    """Address under which users reach the page of the service, without a slash at its end."""
    access_proxies: tuple[str, ...] = ()
    """Addresses and networks of the proxies whose `X-Forwarded-For` is believed."""
    identities: IdentitySettings | None = None
    """How the trusted proxies name users, and what these may do; None if they name none."""
    cors_origins: tuple[str, ...] = ()
    """Other origins whose pages may call the HTTP API with an access key."""
    address_requests_per_minute: int | None = None
    """Maximum number of requests of one client address in a minute; None is no limit."""
    log_format: LogFormat = "text"
    """Format of the access log and the application log of the service."""

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, folder: Path = Path(), config: Path | None = None
    ) -> "Settings":
        """Read the environment and the configuration files; `config` replaces the file of the working `folder`.

        InvalidError names a wrong setting, ForbiddenError the settings that an untrusted file may not set.
        """
        environ = os.environ if environ is None else environ
        return cls._read(SettingsReader(environ, _read_config_files(environ, folder, config)))

    @classmethod
    def load_file(cls, file: ConfigFile, environ: Mapping[str, str] | None = None) -> "Settings":
        """Return the settings that a trusted file gives alone, without other files and `SEMSEARCH_*` variables."""
        environ = os.environ if environ is None else environ
        others = {name: value for name, value in environ.items() if not is_setting_variable(name)}
        return cls._read(SettingsReader(others, [file]))

    @classmethod
    def _read(cls, values: SettingsReader) -> "Settings":
        chat = values.read_endpoint("chat")
        access_proxies = read_proxy_addresses(values, "access.proxy.addresses")
        settings = cls(
            data_dir=values.read_path("data_dir", Path("indexes")),
            embeddings=values.read_endpoint("embeddings"),
            max_batch_inputs=values.read_number("embeddings.max_batch_inputs", int, 1, 2048, default=2048),
            concurrency=values.read_number("embeddings.concurrency", int, 1, 64, default=4),
            embedding_cache_gib=values.read_number("embeddings.cache_gib", float, 0.01, 100_000.0, default=4.0),
            embedder=values.read_embedder("embeddings.embedder"),
            chat=chat,
            chat_model=values.read_text("chat.model"),
            has_openai_key=values.find_variable(OPENAI_KEY_VARIABLE) is not None,
            max_tokens=values.read_number("chat.max_tokens", int, 1, MAX_TOKENS, default=800),
            temperature=values.read_number("chat.temperature", float, 0.0, MAX_TEMPERATURE),
            system=values.read_text("chat.system"),
            prompt_file=values.read_optional_path("chat.prompt_file"),
            policy=cast(SupportPolicy, values.read_choice("chat.policy", get_args(SupportPolicy), "flag")),
            check=values.read_endpoint("check", chat, default_timeout=10.0),
            check_model=values.read_text("check.model"),
            profiles=read_profiles(values),
            budget=Budget(values.read_budget_limits("budget"), values.read_budget_limits("budget.per_owner")),
            prices=tuple(values.read_prices()),
            collapse=values.read_flag("search.collapse", default=True),
            per_document=values.read_number("search.per_document", int, 0, 1000, default=0),
            answer_threshold=values.read_number("answers.threshold", float, 0.0, 1.0, default=DEFAULT_ANSWER_THRESHOLD),
            source_weights=read_source_weights(values, "search.source_weights"),
            index_thresholds=values.read_thresholds("index.thresholds"),
            originals_gib=values.read_number("originals.gib", float, 0.0, 100_000.0, default=DEFAULT_ORIGINALS_GIB),
            keep_days=values.read_number("keep_days", int, 1, 36_500, default=90),
            allowed_hosts=read_allowed_hosts(values, "http.allowed_hosts"),
            public_url=read_public_url(values, "public_url"),
            access_proxies=access_proxies,
            identities=read_identity_settings(values, access_proxies),
            cors_origins=read_cors_origins(values, "http.cors_origins"),
            address_requests_per_minute=values.read_number("access.address_requests_per_minute", int, 1, 10**9),
            log_format=cast(LogFormat, values.read_choice("log.format", get_args(LogFormat), default="text")),
        )
        values.reject_unknown()
        return settings


def list_setting_sources(
    environ: Mapping[str, str] | None = None,
    *,
    folder: Path = Path(),
    config: Path | None = None,
    flags: Mapping[str, tuple[str, str]] | None = None,
) -> list[SettingSource]:
    """Return each setting with its value, without secrets, and its source; errors as in `Settings.load`.

    `flags` has the option and the value by the name of a setting, for those that the command line sets.
    """
    environ = os.environ if environ is None else environ
    values = SettingsReader(environ, _read_config_files(environ, folder, config))
    Settings._read(values)
    return describe_sources(values, flags or {})


def read_instruction_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that choose the instructions of numpy and its library: others round vectors differently."""
    environ = os.environ if environ is None else environ
    return {name: environ[name] for name in INSTRUCTION_VARIABLES if name in environ}


def set_metrics_folder(folder: Path | None) -> None:
    """Tell prometheus-client, which is loaded after this, where worker processes share their metrics; None for one.

    It takes the folder from the environment only.
    """
    for variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(variable, None)
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def find_trust_record(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of the record of trusted files; None if the environment names no folder for it."""
    folder = find_user_folder(os.environ if environ is None else environ, "XDG_STATE_HOME", ".local/state")
    return None if folder is None else folder / "trusted.json"


def find_user_config(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of the user's own file, which may not exist; None if the environment names no folder for it."""
    folder = find_user_folder(os.environ if environ is None else environ, "XDG_CONFIG_HOME", ".config")
    return None if folder is None else folder / CONFIG_FILE


def read_user_limits(environ: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return the budgets that the environment and the user's own file set, by the setting's name."""
    environ = os.environ if environ is None else environ
    return _read_all_limits(SettingsReader(environ, _read_user_files(environ)))


def _read_config_files(environ: Mapping[str, str], folder: Path, config: Path | None) -> list[ConfigFile]:
    """Return the configuration files in order of precedence; ForbiddenError if an untrusted one sets too much."""
    user_files = _read_user_files(environ)
    explicit_path = config or environ.get(CONFIG_VARIABLE)
    if explicit_path:
        file = read_config(Path(explicit_path), str(explicit_path))
        if file is None:
            raise InvalidError(f"there is no configuration file {explicit_path}; correct --config or {CONFIG_VARIABLE}")
        return [file, *user_files]
    file = read_config(folder / CONFIG_FILE, CONFIG_FILE)
    if file is None:
        return user_files
    if file.path not in [user_file.path for user_file in user_files]:
        limits = _read_all_limits(SettingsReader(environ, user_files))
        check_trust(file, find_trust_record(environ), limits)
    return [file, *user_files]


def _read_user_files(environ: Mapping[str, str]) -> list[ConfigFile]:
    path = find_user_config(environ)
    file = None if path is None else read_config(path, str(path))
    return [] if file is None else [file]


def _read_all_limits(values: SettingsReader) -> dict[str, float]:
    tables = {name: asdict(values.read_budget_limits(name)) for name in ("budget", "budget.per_owner")}
    return {
        f"{name}.{key}": limit for name, table in tables.items() for key, limit in table.items() if limit is not None
    }


def allows_color() -> bool:
    """Return whether output to a terminal may have colour: NO_COLOR is not set, and the terminal is not dumb."""
    return not os.environ.get("NO_COLOR") and allows_links()


def allows_links() -> bool:
    """Return whether output to a terminal may have hyperlinks: the terminal is not dumb. NO_COLOR does not matter."""
    return os.environ.get("TERM") != "dumb"
