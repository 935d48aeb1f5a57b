"""Problem details (RFC 9457) for every failure that has a name, and for those that have none."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from terag_pipelines import errors

STATUSES: dict[type[errors.TeragError], HTTPStatus] = {
    errors.TeragError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ConfigurationError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SourceError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ManifestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MissingColumnError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnreadableFileError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooManyBadRowsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SchemaMismatchError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TornTableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IncompleteBatchError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StorageFullError: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EmbeddedStoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LinkingError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DecisionError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DecisionClashError: HTTPStatus.CONFLICT,
    errors.DecisionReusedError: HTTPStatus.CONFLICT,
    errors.RingError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AlertStateError: HTTPStatus.CONFLICT,
    errors.AlertRaceError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CalibrationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TwinError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.EffectRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BillingError: HTTPStatus.CONFLICT,
    errors.PriceBookError: HTTPStatus.CONFLICT,
    errors.UnknownPlanError: HTTPStatus.CONFLICT,
    errors.CurrencyMismatchError: HTTPStatus.CONFLICT,
    errors.InvoiceFinalisedError: HTTPStatus.CONFLICT,
    errors.RenderingError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.AccessError: HTTPStatus.FORBIDDEN,
    errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
}
"""The HTTP status of each domain error; a test checks that none is left out."""

HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "ApiKey"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
}


def answer_with_problems(app: FastAPI) -> None:
    """Makes the application answer every error with problem details."""
    app.add_exception_handler(errors.TeragError, _answer_named)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unnamed)


def problem(request: Request, status: HTTPStatus, detail: str, **more: Any) -> JSONResponse:
    """An `application/problem+json` answer; `more` are further members of the problem."""
    content = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": request.url.path,
    }
    return JSONResponse(
        content | more, status.value, headers=HEADERS.get(status), media_type="application/problem+json"
    )


def _answer_named(request: Request, error: Exception) -> JSONResponse:
    status = (
        STATUSES[type(error)] if isinstance(error, errors.TeragError) else HTTPStatus.INTERNAL_SERVER_ERROR
    )
    return problem(request, status, str(error), error=type(error).__name__)


def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """Says where the request is wrong and why, without repeating the value."""
    details = error.errors() if isinstance(error, RequestValidationError) else []
    wrong = [{"where": ".".join(str(part) for part in one["loc"]), "why": one["msg"]} for one in details]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problem(request, status, "the request is not of the form that is documented", errors=wrong)


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    code = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else "the request failed"
    answer = problem(request, HTTPStatus(code), detail)
    answer.headers.update((isinstance(error, HTTPException) and error.headers) or {})  # 405 has to name Allow
    return answer


def _answer_unnamed(request: Request, _: Exception) -> JSONResponse:
    return problem(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the service failed in a way that it cannot name; see its log",
    )
