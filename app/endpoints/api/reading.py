"""What a request to the API gives, read strictly."""

from typing import TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ValidationError

from app.operations.problem import Problem, unprocessable
from app.operations.reading import faults, read_texts, tellable

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model]) -> Model:
    if request.mimetype != "application/json":
        raise Problem(415, "Unsupported Media Type", "Content-Type must be application/json.")
    data = request.get_data()
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Problem(400, "Bad Request", "The body is not JSON.") from None
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise unprocessable(faults(error, model)) from None


def read_content(media_type: str) -> bytes:
    if request.mimetype != media_type:
        raise Problem(415, "Unsupported Media Type", f"Content-Type must be {media_type}.")
    return request.get_data()


def read_query(model: type[Model]) -> Model:
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise unprocessable((tellable(name, model), "give it once") for name in repeated)
    try:
        return read_texts(model, request.args)
    except ValidationError as error:
        raise unprocessable(faults(error, model)) from None
