"""The settings of identities from a trusted proxy, and of other origins."""

from pathlib import Path

import pytest

from semsearch.core.errors import ForbiddenError, InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.identities import GroupGrants, IdentitySettings

PROXY = "[access.proxy]\naddresses = ['127.0.0.1']\nuser_header = 'Remote-User'\ngroups_header = 'Remote-Groups'\n"
EVERYBODY = "[access.groups.'*']\n"


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    """Load settings from a trusted file with this text."""
    config = tmp_path / "named.toml"
    config.write_text(text)
    return Settings.load(environ, config=config)


def test_groups_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A group that says nothing else has the scopes of a key that says nothing else."""
    text = (
        f"{PROXY}[access.groups.zoo]\nscopes = ['search', 'write']\ncollections = ['handbook']\n"
        "[access.groups.'my team']\nfilter = { team = { '$in' = ['hr', 'all'] } }\n" + EVERYBODY
    )
    assert load(tmp_path, text).identities == IdentitySettings(
        "remote-user",
        "remote-groups",
        (
            GroupGrants("zoo", frozenset(("search", "write")), frozenset(["handbook"])),
            GroupGrants("my team", filter={"team": {"$in": ["hr", "all"]}}),
            GroupGrants("*"),
        ),
    )


def test_without_a_user_header_there_are_no_identities(tmp_path: Path) -> None:
    """The addresses alone say whose forwarded client addresses count."""
    assert load(tmp_path, "[access.proxy]\naddresses = ['127.0.0.1']").identities is None


def test_headers_are_read_from_the_environment(tmp_path: Path) -> None:
    """The environment takes precedence over the file."""
    settings = load(tmp_path, PROXY + EVERYBODY, SEMSEARCH_ACCESS__PROXY__USER_HEADER="X-User")
    assert settings.identities is not None
    assert settings.identities.user_header == "x-user"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EVERYBODY, "user_header"),
        ("[access.proxy]\ngroups_header = 'Remote-Groups'", "user_header"),
        (f"[access.proxy]\nuser_header = 'Remote-User'\n{EVERYBODY}", "addresses"),
        (PROXY, r"access\.groups\.NAME"),
        (PROXY.replace("'Remote-User'", "'Remote User'") + EVERYBODY, "name of a header"),
        (PROXY.replace("'Remote-User'", "'Authorization'") + EVERYBODY, "name of a header"),
        (f"{PROXY}[access]\ngroups = 3", r"access|twice"),
        (f"{PROXY}[access.groups]\nhr = 3", "must hold tables"),
        (f"{PROXY}[access.groups.hr]\nscope = ['ask']", "has no 'scope'"),
        (f"{PROXY}[access.groups.hr]\nscopes = []", "scopes"),
        (f"{PROXY}[access.groups.hr]\nscopes = ['all']", "scopes"),
        (f"{PROXY}[access.groups.hr]\nscopes = 'ask'", "scopes"),
        (f"{PROXY}[access.groups.hr]\ncollections = []", "collections"),
        (f"{PROXY}[access.groups.hr]\ncollections = ['A b']", "collection"),
        (f"{PROXY}[access.groups.hr]\nfilter = 'team=hr'", "filter"),
        (f"{PROXY}[access.groups.hr]\nscopes = ['write']\nfilter = {{ team = 'hr' }}", "outside the filter"),
        (f"{PROXY}[access.groups.hr]\nscopes = ['admin']\nfilter = {{ team = 'hr' }}", "outside the filter"),
        (f"{PROXY}[access.groups.'a,b']", "comma"),
        (f"{PROXY}user_headers = 'X'\n{EVERYBODY}", "no setting access.proxy.user_headers"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A mistake must not mean that the service is open, or that a group may do more than was meant."""
    with pytest.raises(InvalidError, match=message):
        load(tmp_path, text)


def test_untrusted_file_sets_no_groups(tmp_path: Path) -> None:
    """All of `[access]` needs trust."""
    (tmp_path / "semsearch.toml").write_text(PROXY + EVERYBODY)
    with pytest.raises(ForbiddenError, match="access"):
        Settings.load({}, folder=tmp_path)


def test_origins_are_exact(tmp_path: Path) -> None:
    """They are compared with what browsers send: in lower case, without the default port."""
    text = "[http]\ncors_origins = ['https://App.example.org:443', 'http://localhost:3000']"
    assert load(tmp_path, text).cors_origins == ("https://app.example.org", "http://localhost:3000")
    assert Settings().cors_origins == ()


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example.org", "https://*.example.org", "https://a.example/", "ftp://a.example", ""]
)
def test_what_is_no_origin_is_refused(tmp_path: Path, origin: str) -> None:
    """A wildcard would let the pages of everybody call the service."""
    with pytest.raises(InvalidError, match="is not an origin"):
        load(tmp_path, f"[http]\ncors_origins = ['{origin}']")
