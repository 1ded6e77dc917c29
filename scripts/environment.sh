# Sourced by the other scripts, in the project's folder. Creates .venv with the requirements, once for each pyproject.toml.

unset PYTHONDONTWRITEBYTECODE  # without compiled modules a command takes .7 s longer, and a test process six

environment() {  # environment [GROUP]: install the project and the dependency group GROUP
    local group="${1:-}" stamp
    stamp=".venv/.installed-${group:-core}-$(sha256sum pyproject.toml | cut -c1-16)"
    [ -e "$stamp" ] && return
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "semsearch needs Python 3.11 or newer; this is $(python3 --version)" >&2
        return 1
    fi
    [ -x .venv/bin/python ] || python3 -m venv .venv
    echo "installing into .venv ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable . ${group:+--group "$group"}
    touch "$stamp"
}

package() {  # package PROGRAM PACKAGE: install the Debian package that has a program; false if it cannot
    command -v "$1" > /dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "installing $2 ..." >&2
        { apt-get update --quiet=2 &&
            DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$2"; } >&2 && return
    fi
    return 1
}

browser() {  # browser: install the browser that drives the page, or say that its tests are skipped
    package chromium chromium && return
    echo "There is no chromium: tests of the page in a browser are skipped. Install it: sudo apt-get install chromium" >&2
    [ "${REQUIRE_ALL:-}" != 1 ]
}

monitoring() {  # monitoring: install the Prometheus that evaluates dashboard and alert rules, or say that it is missing
    package prometheus prometheus && return
    echo "There is no prometheus, which scripts/prove metrics runs. Install it: sudo apt-get install prometheus" >&2
    return 1
}
