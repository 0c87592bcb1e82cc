"""The instance of a job, through the Notebooks API v2: create, find, stop, delete."""

import os
import re

from vertex_workbench.job import Job, instance_request, notebooks_api

POLL_SECONDS = 2.0  # between the first two polls of an operation; later ones are rarer
PATIENCE = 1800.0  # seconds that creating, stopping or deleting may take
LAUNCH = "python -m vertex_workbench.launch"
_NO_STOCK = r"POOL_EXHAUSTED|not have enough resources|stockout"
_NO_QUOTA = r"QUOTA_EXCEEDED|RESOURCE_EXHAUSTED|Quota '\S+' exceeded"


class Refused(OSError):
    """No instance was created; the message says why."""


def client():
    """The Notebooks API; VERTEX_WORKBENCH_ENDPOINT leads to a local double of it instead.

    Raises:
        ModuleNotFoundError: the client library is not installed.
    """
    api = notebooks_api()
    if not (endpoint := os.environ.get("VERTEX_WORKBENCH_ENDPOINT")):
        return api.NotebookServiceClient(transport="rest")  # the one that the tests know
    from google.auth.credentials import AnonymousCredentials

    options = {"api_endpoint": endpoint}
    return api.NotebookServiceClient(
        credentials=AnonymousCredentials(), transport="rest", client_options=options
    )


def create(api, job: Job) -> str:
    """The first of the job's zones that has room for its instance, which is there now.

    Raises:
        Refused: no zone has room, or the request is not allowed.
        FileExistsError: there is an instance of this name already.
        ConnectionError: it is not known whether there is an instance.
    """
    from google.api_core import exceptions

    full = []
    for zone in job.zones:
        operation = None
        try:
            operation = api.create_instance(request=instance_request(job, zone))
            _wait(operation, f"to create {job.name} in {zone}")
            return zone
        except exceptions.GoogleAPICallError as error:
            if error.code == 409 and not isinstance(error, exceptions.Aborted):
                raise already_there(job, zone) from None
            if operation or (error.code or 500) >= 500:
                _discard(api, job, zone)
            if not (reason := _no_room(error)):
                raise Refused(f"no instance in {zone}: {explained(error)}") from None
            full.append(f"{zone} {reason}")
            print(f"no room for {job.machine} in {full[-1]}", flush=True)
    raise Refused(f"no zone has room for {job.machine}: {'; '.join(full)}")


def find(api, job: Job) -> dict:
    """{zone: instance} of the job in its zones."""
    from google.api_core.exceptions import NotFound

    found = {}
    for zone in job.zones:
        try:
            found[zone] = api.get_instance(name=_path(job, zone))
        except NotFound:
            continue
    return found


def end(api, job: Job, zone: str, verb: str) -> None:
    """Stop or delete an instance; a missing one is no error.

    Raises:
        ConnectionError: it is not known how it ended.
    """
    from google.api_core.exceptions import NotFound

    try:
        call = {"stop": api.stop_instance, "delete": api.delete_instance}[verb]
        _wait(call(request={"name": _path(job, zone)}), f"to {verb} {job.name} in {zone}")
    except NotFound:
        pass


def already_there(job: Job, zone: str) -> FileExistsError:
    """Two instances would work on one output."""
    return FileExistsError(
        f"an instance {job.name} exists in {zone}; `{LAUNCH} delete` it first, {job.output} stays "
        "and the job goes on from there"
    )


def explained(error: Exception) -> str | None:
    """An expected error as one sentence, without credentials; None: it is not an expected one."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    if isinstance(error, GoogleAuthError):
        return (
            f"no usable Google Cloud credentials ({type(error).__name__}); run `gcloud auth "
            "application-default login`"
        )
    if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
        return (
            f"permission denied ({int(error.code)}: {_line(error.message)}); the account in use "
            "needs the roles Notebooks Admin, and Service Account User on the instance's account"
        )
    if isinstance(error, exceptions.GoogleAPICallError):
        return f"the Notebooks API answers {int(error.code or 500)}: {_line(error.message)}"
    if isinstance(error, RequestException):
        return f"no answer from the Notebooks API ({type(error).__name__})"
    if isinstance(error, OSError | ValueError | ImportError | exceptions.RetryError):
        return _line(str(error))
    return None


def _no_room(error) -> str | None:
    """Why another zone may do better; None if it may not."""
    text = _line(error.message)
    if error.code == 503 or re.search(_NO_STOCK, text, re.I):
        return f"out of stock ({text})"
    if error.code == 429 or re.search(_NO_QUOTA, text, re.I):
        return f"no quota ({text})"
    return None


def _discard(api, job: Job, zone: str) -> None:
    """What a failed creation may have left would be billed."""
    from google.api_core.exceptions import GoogleAPICallError

    try:
        end(api, job, zone, "delete")
    except GoogleAPICallError as error:
        raise ConnectionError(
            f"what is left of {job.name} in {zone} cannot be deleted: {explained(error)}"
        ) from None


def _wait(operation, what: str) -> None:
    """Until an operation is done; raises its error. Any other error leaves open how it ends."""
    from google.api_core.future.polling import DEFAULT_POLLING

    polling = DEFAULT_POLLING.with_delay(initial=POLL_SECONDS, maximum=20, multiplier=1.5)
    try:
        operation.result(polling=polling.with_timeout(PATIENCE))
    except Exception as error:
        if operation.operation.HasField("error"):
            raise
        raise ConnectionError(
            f"{what} was begun, but how it ended is not known ({type(error).__name__}); check "
            f"with `{LAUNCH} status`, and `delete` what is not to be billed"
        ) from None


def _path(job: Job, zone: str) -> str:
    return f"projects/{job.project}/locations/{zone}/instances/{job.name}"


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]
