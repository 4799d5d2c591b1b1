"""Which names a run's environment variables may have: tables of what would steer a process, and why.

A refused name is no loss: a step that means it can still ``export`` it in its own script.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from app.errors import InvalidInput

Table = Literal["variables", "inputs", "id_tokens", "secrets"]

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


@dataclass(frozen=True, slots=True)
class Reserved:
    """Names that are refused for one reason. ``exact`` counts even where ``spared`` (prefixes) matches."""

    why: str
    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    any_case: bool = False

    def holds(self, name: str) -> bool:
        name = name.upper() if self.any_case else name
        if name in self.exact:
            return True
        return (name.startswith(self.prefixes) or name.endswith(self.suffixes)) and not (
            name.startswith(self.spared)
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EVERYWHERE = (
    Reserved(
        "the run sets it itself",
        exact=_words("PATH HOME LANG TMPDIR TMP TEMP USER LOGNAME PWD OLDPWD _"),
        prefixes=("COUNTERSIGN_",),
    ),
    Reserved(
        "it steers the shell that runs the script",
        exact=_words(
            "SHELL SHELLOPTS IFS ENV CDPATH FPATH PS0 PS1 PS2 PS3 PS4 PROMPT_COMMAND GLOBIGNORE EXECIGNORE"
            " POSIXLY_CORRECT INPUTRC ZDOTDIR FCEDIT HISTFILE TMOUT"
        ),
        prefixes=("BASH",),  # BASH_ENV, BASHOPTS, BASH_FUNC_…, BASH_LOADABLES_PATH
    ),
    Reserved(
        "it steers how programs are loaded and names are resolved",
        exact=_words(
            "GLIBC_TUNABLES GCONV_PATH GETCONF_DIR LOCPATH NLSPATH TZDIR HOSTALIASES LOCALDOMAIN RES_OPTIONS"
            " NIS_PATH LIBPATH SHLIB_PATH"
        ),
        prefixes=("LD_", "DYLD_", "_RLD_", "MALLOC_", "RESOLV_"),
    ),
    Reserved(
        "it steers Git and the programs that carry it",
        exact=_words("GNUPGHOME HGRCPATH HGEDITOR CVS_RSH SVN_SSH RSYNC_RSH RSYNC_CONNECT_PROG"),
        prefixes=("GIT_", "SSH_"),
    ),
    Reserved(
        "it would send traffic through a proxy",
        suffixes=("_PROXY",),
        any_case=True,  # curl, Python and others read http_proxy as well as HTTP_PROXY
    ),
    Reserved(
        "it changes whom TLS trusts, or reveals what TLS protects",
        exact=_words(
            "SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CURL_SSL_BACKEND"
            " AWS_CA_BUNDLE NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED"
            " OPENSSL_CONF OPENSSL_ENGINES OPENSSL_MODULES"
        ),
    ),
    Reserved(
        "it steers the Python interpreter",
        exact=_words("PYTHON_PRESITE PYTHON_HISTORY"),
        prefixes=("PYTHON",),  # the harmless ones are few, and each release adds others
        spared=(
            "PYTHON_",
            "PYTHONUNBUFFERED",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONHASHSEED",
            "PYTHONUTF8",
            "PYTHONIOENCODING",
            "PYTHONFAULTHANDLER",
        ),
    ),
    Reserved(
        "it steers an interpreter or a virtual machine",
        exact=_words(
            "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_REPL_HISTORY NODE_V8_COVERAGE"
            " CLASSPATH JAVA_HOME JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS JDK_HOME"
            " PHPRC PHP_INI_SCAN_DIR ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS ELIXIR_ERL_OPTIONS"
            " R_HOME R_PROFILE R_PROFILE_USER R_ENVIRON R_ENVIRON_USER R_LIBS R_LIBS_USER"
            " DOTNET_STARTUP_HOOKS DOTNET_ADDITIONAL_DEPS AWKPATH AWKLIBPATH GEM_HOME GEM_PATH GEMRC"
        ),
        prefixes=(
            "PERL5",
            "PERLLIB",
            "PERLIO",
            "PERL_MM_OPT",
            "PERL_MB_OPT",
            "RUBY",
            "LUA_PATH",
            "LUA_CPATH",
            "LUA_INIT",
            "JULIA_",
            "CORECLR_",
            "COMPlus_",
        ),
        spared=("RUBY_",),
    ),
    Reserved(
        "it steers a build or package tool",
        exact=_words(
            "MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES GCC_EXEC_PREFIX COMPILER_PATH LIBRARY_PATH CPATH"
            " C_INCLUDE_PATH CPLUS_INCLUDE_PATH RUSTC RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER"
            " CARGO_HOME MAVEN_OPTS MAVEN_ARGS GRADLE_OPTS GRADLE_USER_HOME ANT_OPTS SBT_OPTS"
            " GOFLAGS GOPATH GOROOT GOBIN GOENV GOPROXY GOSUMDB GONOSUMDB GOINSECURE GOPRIVATE GOTOOLCHAIN"
            " YARN_RC_FILENAME YARN_IGNORE_PATH YARN_YARN_PATH"
        ),
        prefixes=("PIP_", "UV_", "BUNDLE_", "CARGO_BUILD_", "CARGO_TARGET_"),
        spared=("UV_PUBLISH_",),
    ),
    Reserved(
        "it steers npm",
        prefixes=("NPM_CONFIG_",),
        any_case=True,  # npm folds the case of its own
    ),
    Reserved(
        "it names a program, or options, that other programs run with",
        exact=_words(
            "EDITOR VISUAL PAGER MANPAGER BROWSER SUDO_ASKPASS SUDO_EDITOR LESS LESSOPEN LESSCLOSE"
            " TAR_OPTIONS GZIP ZIPOPT UNZIP XZ_OPT XZ_DEFAULTS GREP_OPTIONS VIMINIT EXINIT EMACSLOADPATH"
            " TERMINFO TERMINFO_DIRS TERMCAP DEBUGINFOD_URLS"
        ),
        prefixes=("LESSKEY",),
    ),
    Reserved(
        "it moves where programs find their configuration or their server",
        exact=_words(
            "CURL_HOME WGETRC SYSTEM_WGETRC NETRC PSQLRC PGSERVICEFILE PGSYSCONFDIR MYSQL_HOME"
            " DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS_VERIFY KUBECONFIG"
            " AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE BOTO_CONFIG CLOUDSDK_CONFIG CLOUDSDK_PYTHON"
            " ANSIBLE_CONFIG TF_CLI_CONFIG_FILE RIPGREP_CONFIG_PATH"
        ),
        prefixes=("XDG_", "AWS_ENDPOINT_URL"),
    ),
)

_VAULT = Reserved(
    "it says where Vault is, which only `variables` may",
    exact=_words("VAULT_SERVER_URL VAULT_AUTH_PATH VAULT_AUTH_ROLE VAULT_NAMESPACE"),
)
_AWS = Reserved(
    "it says which role and region of AWS secrets are read with, which only `variables` may",
    exact=_words("AWS_REGION AWS_ROLE_ARN AWS_ROLE_SESSION_NAME"),
)

BY_TABLE: Mapping[Table, tuple[Reserved, ...]] = {
    "variables": (),
    "inputs": (replace(_VAULT, prefixes=("VAULT_",)), _AWS),
    "id_tokens": (_VAULT, _AWS),
    "secrets": (_VAULT, _AWS),
}


def check_name(name: str, table: Table = "variables") -> str | None:
    """Why a run can have no environment variable ``name`` declared in ``table``; ``None`` when it can."""
    if not re.fullmatch(NAME_PATTERN, name):
        return "a name is a letter or `_`, then letters, digits or `_`, 128 at most: rename it"
    for row in (*EVERYWHERE, *BY_TABLE[table]):
        if row.holds(name):
            return f"this name is refused because {row.why}: choose another"
    return None


def require_name(name: str, table: Table = "variables") -> None:
    """As above, with ``InvalidInput``; the name can be repeated, it was declared as one."""
    if reason := check_name(name, table):
        raise InvalidInput(f"{name!a}: {reason}")
