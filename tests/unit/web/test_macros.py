"""The pieces that pages are made of: what they show, and that nothing given to them becomes markup."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.web.lifecycle import stages
from tests.unit.web.rendering import TEMPLATES, macro

MARKUP = "\"'><script>alert(1)</script>&"
NOON = "2026-11-22T12:00:00.000000Z"
KEY = {"kid": "k" * 43, "alg": "RS256", "published_at": NOON, "signs_from": "2026-11-23T12:00:00.000000Z"}
STAGES = stages([KEY | {"state": "next"}], datetime(2026, 11, 22, 18, tzinfo=UTC))


def hostile(stage):
    entries = [replace(entry, kid=MARKUP, alg=MARKUP, dates=((MARKUP, NOON),)) for entry in stage.entries]
    return replace(stage, title=MARKUP, meaning=MARKUP, entries=entries)


CALLS = {
    "form": [
        "{{ m.csrf() }}{{ m.once() }}{{ m.etag(x) }}{{ m.next(x) }}",
        "{{ m.recently(x) }}{{ m.dangerous(x, x, x, tone=x) }}{{ m.sign_in_first(x, x) }}",
        "{{ m.field(x, x, value=x, type=x, hint=x, error=x, id=x, autocomplete=x, pattern=x) }}",
        "{{ m.search_form(x, x, x) }}",
        "{{ m.textarea(x, x, value=x, rows=x, hint=x, error=x, id=x, placeholder=x) }}",
        "{{ m.select(x, x, [x, (x, x)], value=x, hint=x, error=x, id=x, title=x) }}",
        "{{ m.checkbox(x, x, checked=true, value=x, hint=x, error=x, id=x, title=x) }}",
        "{{ m.opens(x, x, tone=x) }}{{ m.opens(x, x, tone=x, href=x) }}",
        "{{ m.confirm(x, x, x, x, tone=x, typed=x, typed_label=x, fields={x: x}, opener=x, size=x) }}",
        "{{ m.confirm(x, x, x, x, shell=x) }}",
        "{% call m.confirm(x, x, x, x) %}{{ x }}{% endcall %}",
        "{{ m.post(x, x, tone=x, fields={x: x}, small=true) }}",
        "{{ m.secret_once(x, x, note=x) }}",
    ],
    "notice": [
        "{{ m.notice(x, request_id=x) }}{{ m.notice(x, x, 'check') }}{{ m.notice('`' ~ x ~ '`') }}",
        "{{ m.traced(x) }}",
    ],
    "page": [
        "{% call m.panel(x, id=x, lead=x) %}{{ x }}{% endcall %}",
        "{{ m.empty(x, x, x, x) }}",
        "{{ m.twin(x, x, summary=x) }}",
        "{% call m.table([x, (x, x), (x, 'hidden')], x, id=x) %}{{ x }}{% endcall %}",
        "{{ m.pager(x, x, label=x) }}",
        "{{ m.facts([(x, x)]) }}",
        "{% call m.drawer(x, x) %}{{ x }}{% endcall %}",
        "{{ m.plot({'columns': [x, x], 'rows': [[x, x]]}, x) }}",
    ],
    "value": [
        "{{ m.badge(x) }}{{ m.badge('active', x) }}",
        "{{ m.time(x) }}{{ m.time(none, x) }}",
        "{{ m.countdown(x, x) }}",
        "{{ m.code(x, x) }}",
        "{{ m.copy(x, x) }}",
    ],
    "keys": ["{% call(entry) m.timeline(stages) %}{{ entry.kid }}{% endcall %}"],
}


@pytest.mark.parametrize(("file", "call"), [(file, call) for file, calls in CALLS.items() for call in calls])
def test_nothing_that_a_macro_is_given_becomes_markup(file, call):
    visit = {"csrf_token": MARKUP, "is_recent": True}
    written = macro(file, call, x=MARKUP, visit=visit, stages=[hostile(stage) for stage in STAGES])
    assert "&lt;script&gt;" in written
    assert "<script" not in written


def test_no_macro_is_left_out():
    ours = [(TEMPLATES / f"macros/{file}.html").read_text() for file in CALLS]
    public = set(re.findall(r"macro ([a-z][a-z_]*)", str(ours)))
    assert public == set(re.findall(r"\bm\.([a-z_]+)", str(CALLS)))


@pytest.mark.parametrize(
    ("state", "tone"),
    [("active", "good"), ("next", "info"), ("retired", "quiet"), ("revoked", "bad"), ("unheard-of", "quiet")],
)
def test_a_state_is_told_by_its_word_beside_its_colour(state, tone):
    badge = macro("value", "{{ m.badge(state) }}", state=state)
    assert f"state-{tone}" in badge
    assert badge.endswith(f"</svg>{state}</span>")


def test_a_time_is_readable_without_a_script():
    time = macro("value", "{{ m.time(at) }}", at="2026-11-22T19:41:27.123456Z")
    assert 'datetime="2026-11-22T19:41:27.123456Z" title="2026-11-22 19:41:27 UTC"' in time
    assert ">2026-11-22 19:41 UTC</time>" in time


def test_what_never_happened_says_so():
    assert "never" in macro("value", "{{ m.time(none) }}")
    assert "unknown" in macro("value", "{{ m.time(none, 'unknown') }}")


def test_a_field_names_its_hint_and_its_error():
    field = macro("form", "{{ m.field('name', 'Name', hint='Letters.', error='Too long.', maxlength=40) }}")
    assert '<label class="form-label" for="field-name">Name</label>' in field
    assert 'aria-describedby="field-name-hint field-name-error" aria-invalid="true" maxlength="40"' in field
    assert 'id="field-name-hint">Letters.<' in field
    assert re.search(r'id="field-name-error">.*Too long\.<', field)


@pytest.mark.parametrize(("required", "word"), [(True, "required"), (False, "optional")])
def test_a_field_says_whether_it_may_be_left_empty(required, word):
    field = macro("form", "{{ m.field('name', 'Name', required=required) }}", required=required)
    assert word in field


def test_a_choice_is_kept():
    select = macro("form", "{{ m.select('days', 'Days', [(30, 'a month'), (90, 'a quarter')], value='90') }}")
    assert re.findall(r'<option value="(\d+)" selected>', select) == ["90"]


def test_a_text_keeps_its_first_line_empty_or_not():
    area = macro("form", "{{ m.textarea('file', 'File', value=value) }}", value="\nimage: node:22\n")
    assert ">\n\nimage: node:22\n</textarea>" in area


def test_a_dangerous_act_asks_for_the_text_and_sends_it_along():
    dialog = macro("form", "{{ m.confirm('revoke', 'Revoke?', '/revoke', 'Revoke', typed='kid-7') }}")
    assert '<dialog class="dialog" id="revoke" aria-labelledby="revoke-title">' in dialog
    assert 'data-opens="revoke" command="show-modal" commandfor="revoke"' in dialog
    assert '<form method="post" action="/revoke"' in dialog
    assert 'name="csrf_token" value="csrf-token"' in dialog
    assert re.search(r'<input [^>]*name="confirmation" data-expected="kid-7" required', dialog)


def test_a_secret_is_neither_remembered_nor_changed():
    secret = macro("form", "{{ m.secret_once('s3cret', 'Client secret') }}")
    assert re.search(r'<input [^>]*value="s3cret" readonly autocomplete="off"', secret)
    assert "never shown again" in secret


def test_an_empty_page_has_a_sentence_an_action_and_a_command():
    empty = macro("page", "{{ m.empty('No key.', 'Make one', '/console/keys', 'countersign init') }}")
    assert "<p>No key.</p>" in empty
    assert '<a class="btn btn-primary" href="/console/keys">Make one</a>' in empty
    assert "<code>countersign init</code>" in empty


def test_a_plot_is_drawn_from_the_table_that_stands_beside_it():
    data = {"columns": ["Hour", "Issued", "Denied"], "rows": [[NOON, 12, 0]]}
    plot = macro("page", "{{ m.plot(data, 'Tokens per hour') }}", data=data)
    assert re.findall(r'<th scope="col"[^>]*>([^<]+)', plot) == ["Hour", "Issued", "Denied"]
    assert f'<time datetime="{NOON}">2026-11-22 12:00 UTC</time>' in plot
    assert re.findall(r'<td class="number">(\d+)</td>', plot) == ["12", "0"]


def test_the_timeline_says_what_is_next_and_when_it_may_sign():
    timeline = macro("keys", "{{ m.timeline(stages) }}", stages=STAGES)
    assert re.findall(r"<h2>(\w+)</h2>", timeline) == ["Next", "Active", "Retired", "Removed"]
    assert "May sign <strong><time" in timeline
    assert '<rect class="bar-done" width="25%"' in timeline
    assert timeline.count(">None.<") == 3
