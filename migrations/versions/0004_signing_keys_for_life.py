"""Signing keys for life: keystores, revocation, destroyed private halves; who fetched the JWKS"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("keystore", sa.String(), nullable=False, server_default="files"),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("exempt", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("destroyed_at", _MOMENT, nullable=True),
    ):
        op.add_column("signing_keys", column)
    op.execute("UPDATE signing_keys SET exempt = true")  # no version before this one made any but the first
    op.create_index(op.f("ix_issued_tokens_kid_expires_at"), "issued_tokens", ["kid", "expires_at"])
    op.create_table(
        "sealed_keys",
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("kek_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_sealed_keys")),
    )
    op.create_table(
        "transit_keys",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_transit_keys")),
    )
    op.create_table(
        "jwks_fetches",
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("count", NUMBER, nullable=False),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["kid"], ["signing_keys.kid"], name=op.f("fk_jwks_fetches_kid_signing_keys")),
        sa.PrimaryKeyConstraint("kid", "agent", "network", name=op.f("pk_jwks_fetches")),
    )


def downgrade() -> None:
    for table in ("jwks_fetches", "transit_keys", "sealed_keys"):
        op.drop_table(table)
    op.drop_index(op.f("ix_issued_tokens_kid_expires_at"), "issued_tokens")
    for name in ("keystore", "reference", "exempt", "revoked_at", "reason", "destroyed_at"):
        op.drop_column("signing_keys", name)
