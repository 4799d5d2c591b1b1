import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flows.names import BY_TABLE, EVERYWHERE, check_name


def words(text):
    return text.split()


ALLOWED = words(
    "NODE_ENV DATABASE_PASSWORD AWS_ID_TOKEN VAULT_ID_TOKEN issue _x X9 env path TZ LC_ALL CI DEBUG"
    " PYTHON_VERSION PYTHONUNBUFFERED RUBY_VERSION NODE_VERSION JAVA_VERSION GITHUB_TOKEN GITLAB_TOKEN"
    " NPM_TOKEN UV_PUBLISH_TOKEN AWS_REGION AWS_ROLE_ARN LDAP_PASSWORD PROXY PIPELINE BASIC_AUTH"
    " VAULT_TOKEN COUNTERSIGN"
)

STEERING = words(
    "PATH HOME LANG TMPDIR COUNTERSIGN_RUN_ID COUNTERSIGN_ACCESS_TOKEN COUNTERSIGN_ANYTHING"
    " GIT_AUTHOR_NAME GIT_SSH_COMMAND GIT_CONFIG_COUNT SSH_ASKPASS SHELL IFS ENV BASH_ENV CDPATH PS4"
    " PROMPT_COMMAND SHELLOPTS BASHOPTS GLOBIGNORE BASH_FUNC_ls LD_PRELOAD LD_LIBRARY_PATH"
    " DYLD_INSERT_LIBRARIES GLIBC_TUNABLES GCONV_PATH LOCPATH NLSPATH MALLOC_CHECK_ HOSTALIASES"
    " RESOLV_HOST_CONF TERMINFO HTTP_PROXY https_proxy No_Proxy ALL_PROXY npm_config_proxy"
    " PYTHONSTARTUP PYTHONPATH PYTHONHOME PYTHONINSPECT PYTHONWARNINGS PYTHONBREAKPOINT PYTHON_PRESITE"
    " NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB PERLLIB RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS"
    " JDK_JAVA_OPTIONS SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CURL_HOME EDITOR"
    " PAGER LESSOPEN NPM_CONFIG_REGISTRY npm_config_registry PIP_INDEX_URL DOCKER_HOST KUBECONFIG"
    " MAKEFLAGS XDG_CONFIG_HOME TAR_OPTIONS _"
)


@pytest.mark.parametrize("name", ALLOWED)
def test_an_ordinary_name_is_accepted(name):
    assert check_name(name) is None


@pytest.mark.parametrize("name", STEERING)
@pytest.mark.parametrize("table", BY_TABLE)
def test_a_name_that_steers_a_process_is_refused_in_every_table(name, table):
    assert "refused because" in check_name(name, table)


@pytest.mark.parametrize(
    "name", ["", "1A", "A-B", "A B", "A.B", "A=B", "A\n", "Ä", "A\u0667", "A" * 129, "A\0"]
)
def test_what_a_shell_could_not_name_is_refused(name):
    assert "letter" in check_name(name)


def test_a_name_has_up_to_128_characters():
    assert check_name("A" * 128) is None


@pytest.mark.parametrize(
    "name", ["VAULT_SERVER_URL", "VAULT_AUTH_PATH", "VAULT_AUTH_ROLE", "VAULT_NAMESPACE"]
)
def test_only_variables_say_where_vault_is(name):
    assert check_name(name, "variables") is None
    assert all("where Vault is" in check_name(name, table) for table in ("inputs", "id_tokens", "secrets"))


def test_an_input_says_nothing_to_vault_at_all():
    assert "where Vault is" in check_name("VAULT_ADDR", "inputs")
    assert check_name("VAULT_ID_TOKEN", "id_tokens") is None


def test_every_row_says_why_and_holds_something():
    for row in (*EVERYWHERE, *(row for rows in BY_TABLE.values() for row in rows)):
        assert row.why
        assert row.exact or row.prefixes or row.suffixes
        assert not row.any_case or all(word.isupper() for word in (*row.exact, *row.prefixes, *row.suffixes))


@given(
    st.sampled_from(["LD_", "DYLD_", "GIT_", "SSH_", "COUNTERSIGN_", "BASH_FUNC_", "NPM_CONFIG_", "PIP_"]),
    st.data(),
)
def test_whatever_follows_a_steering_prefix_is_refused(prefix, data):
    rest = data.draw(st.text(string.ascii_letters + string.digits + "_", max_size=100))
    assert check_name(prefix + rest) is not None


@given(st.text(string.ascii_letters + "_", max_size=100), st.sampled_from(["_proxy", "_PROXY", "_Proxy"]))
def test_whatever_comes_before_proxy_is_refused(start, end):
    assert check_name(start + end) is not None


@given(st.text())
def test_any_text_gets_a_verdict_that_does_not_repeat_it(text):
    verdict = check_name(text)
    assert verdict is None or verdict in {check_name("1"), *(check_name(name) for name in STEERING)}
