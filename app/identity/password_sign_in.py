"""Signing in with a password: every wrong one costs the same time, gets the same words, and is told."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Denied
from app.identity import guesses, passwords, sessions
from app.identity.guesses import Guessing, Pace, Subjects, TooManyGuesses
from app.identity.holding import hold
from app.identity.models import Principal, User
from app.identity.session_models import Password
from app.identity.sessions import Begun, Browser, Holder, Limits, Method
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.principals import user_principal
from app.secret import Secret

_WRONG = "The login or the password is wrong."


@dataclass(frozen=True)
class _Known:
    """Of the login that was typed, if it is somebody's."""

    user_id: int
    hash: str | None
    is_enabled: bool


class PasswordSignIn:
    """``key``: what typed logins are stored under. Opens its own transactions, none while it checks."""

    def __init__(self, database: Database, clock: Clock, key: bytes, limits: Limits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._guessing = Guessing(database, key)
        self._pace = Pace()

    def sign_in(self, login: str, password: Secret, browser: Browser, present: Holder | None = None) -> Begun:
        """``Denied`` without a reason, or ``TooManyGuesses``. ``present``: who is signed in there already."""
        now, login = self._clock(), login.strip().lower()
        known = self._find(login)
        is_theirs = known is not None and present is not None and present.user_id == known.user_id
        session_id = present.session_id if present is not None and is_theirs else None
        subjects = self._take_guess(login, known, browser, now, session_id)
        is_right = passwords.matches(known.hash if known else None, password)
        if known is None or not is_right or not known.is_enabled:
            self._tell(known, _cause(known, is_right=is_right), browser, now)
            raise Denied(_WRONG)
        anew = passwords.hashed_anew(known.hash or "", password)
        with self._database.writing() as session:
            user = self._proved(session, known)
            if anew is not None:
                theirs = update(Password).where(Password.user_id == user.id)
                session.execute(theirs.values(hash=anew))
            guesses.forgive(session.connection(), subjects)
            return sessions.sign_in(
                session,
                user,
                method=Method.PASSWORD,
                browser=browser,
                now=now,
                limits=self._limits,
                present=present,
            )

    def prove(self, login: str, password: Secret, browser: Browser, session_id: int | None = None) -> None:
        """Of somebody who is known already, as by a session of theirs, that it is them: a guess as well."""
        now = self._clock()
        known = self._find(login)
        subjects = self._take_guess(login, known, browser, now, session_id)
        if known is None or not passwords.matches(known.hash, password):
            self._tell(known, _cause(known, is_right=False), browser, now)
            raise Denied("This is not your present password.")
        with self._database.writing_connection() as connection:
            guesses.forgive(connection, subjects)

    def _take_guess(
        self, login: str, known: _Known | None, browser: Browser, now: datetime, session_id: int | None
    ) -> Subjects:
        try:
            subjects = self._guessing.take(login, browser.address, now, session_id)
        except TooManyGuesses as refusal:
            if refusal.is_first:
                self._tell(known, "too many passwords were tried", browser, now)
            raise
        try:
            self._pace.take(now)
        except TooManyGuesses:
            self._guessing.give_back(subjects)
            raise
        return subjects

    def _find(self, login: str) -> _Known | None:
        if not (login.isascii() and login.isprintable()):  # which no database need be asked about
            return None
        query = (
            select(User.id, Password.hash, Principal.disabled_at)
            .join(Principal, Principal.id == User.id)
            .outerjoin(Password, Password.user_id == User.id)
            .where(User.login == login)
        )
        with self._database.reading_connection() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _Known(row.id, row.hash, row.disabled_at is None)

    def _proved(self, session: Session, known: _Known) -> User:
        """Whoever changes the password, or disables its human, waits from here on."""
        is_enabled = hold(session, known.user_id)
        stored = session.scalar(select(Password.hash).where(Password.user_id == known.user_id))
        if not is_enabled or stored != known.hash:
            raise Denied(_WRONG)
        return session.get_one(User, known.user_id)

    def _tell(self, known: _Known | None, cause: str, browser: Browser, now: datetime) -> None:
        """Of a login that is nobody's not even a part: it may be a password, typed in the wrong field."""
        anonymous = Actor(name="anonymous", request_id=browser.request_id)
        event = anonymous.did(
            AuditAction.USER_AUTHENTICATE,
            now,
            outcome=Outcome.DENIED,
            user=user_principal(known.user_id) if known else None,
            detail={"method": Method.PASSWORD.value, "cause": cause},
        )
        with self._database.writing_connection() as connection:
            record(connection, event)


def _cause(known: _Known | None, *, is_right: bool) -> str:
    if known is None:
        return "there is no such login"
    if known.hash is None:
        return "the user has no password"
    return "the user is disabled" if is_right else "the password is wrong"
