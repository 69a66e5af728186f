"""What a request is answered that cannot be served: {"error": one line}."""

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


def refusal(line: str, status: int) -> JSONResponse:
    """Returns one line as an answer. What was sent may hold half of a surrogate pair, which UTF-8 cannot."""
    return JSONResponse({"error": line.encode(errors="backslashreplace").decode()}, status_code=status)


def nonsense(error: Exception, advice: str) -> JSONResponse:
    """Returns one line about the first thing in a request that makes no sense, and what to do.

    FastAPI's own answer repeats what was sent, and fails where that is no JSON, as NaN and half of a surrogate pair.
    """
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(part for part in first["loc"][1:] if isinstance(part, str)) or "the request"
    return refusal(f"{place}: {first['msg']}; {advice}", 422)
