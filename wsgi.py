"""For any WSGI server: ``gunicorn wsgi:app``. Needs ``countersign init`` once."""

from app.factory import create_app
from app.settings import Settings

app = create_app(Settings.from_env())
app.extensions["countersign"].follow_keys()
