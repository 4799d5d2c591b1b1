"""What a page offers: the one decision, asked beforehand. The operations decide again, whatever was shown."""

from app.operations.explanations import explain
from app.web.console import ask_or_none
from app.web.visit import this_visit


def may(permission: str, path: str) -> bool:
    """Whether the visitor has the permission in a project or group."""
    visit = this_visit()
    if visit.role == "administrator":
        return True
    asked = {"user": visit.login, "action": permission, "resource": path}
    answer = ask_or_none(explain, body=asked)
    return bool(answer and answer["allowed"])
