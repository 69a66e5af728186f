"""Under which names a server on a loopback address answers, and on which addresses that is asked."""

from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from earwitness.serving import guard, run


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "127.255.255.254", "::1"])
def test_loopback_addresses(host: str) -> None:
    assert guard.is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "localhost.example", "127.0.0.1.example", "127.1", ""]
)
def test_addresses_that_are_none(host: str) -> None:
    assert not guard.is_loopback(host)


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.add_api_route("/", lambda: "here", methods=["GET"])

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    app.add_api_websocket_route("/talk", talk)
    return TestClient(guard.LoopbackOnly(app))


@pytest.mark.parametrize("name", ["localhost", "LocalHost:7870", "127.0.0.1:7870", "127.0.0.2", "[::1]", "[::1]:7870"])
def test_names_of_this_machine_are_answered(client: TestClient, name: str) -> None:
    assert client.get("/", headers={"Host": name}).json() == "here"
    with client.websocket_connect("/talk", headers={"Host": name}):
        pass


@pytest.mark.parametrize("name", ["elsewhere.example", "elsewhere.example:7870", "127.0.0.1.example", "[::1", ""])
def test_names_from_elsewhere_are_not(client: TestClient, name: str) -> None:
    answer = client.get("/", headers={"Host": name})
    assert answer.status_code == 400 and answer.json()["error"].startswith("not under this name")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/talk", headers={"Host": name}):
        pass


@pytest.mark.parametrize(("host", "guarded"), [("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("::", False)])
def test_what_is_served_on_a_loopback_address_is_guarded(
    host: str, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[_Idle] = []

    def server(config: Any) -> _Idle:
        servers.append(_Idle(config.app))
        return servers[-1]

    monkeypatch.setattr("uvicorn.Server", server)
    run.serve(FastAPI(), _Listening(host), on_ready=lambda: None)  # type: ignore[arg-type]
    assert isinstance(servers[0].app, guard.LoopbackOnly) == guarded


class _Idle:
    """A server that serves nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def run(self, sockets: list[object]) -> None: ...


class _Listening:
    """A socket of an address that this machine may not have."""

    def __init__(self, host: str) -> None:
        self._host = host

    def getsockname(self) -> tuple[str, int]:
        return self._host, 7870

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
