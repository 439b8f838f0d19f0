"""A tool server and an agent, of the official SDKs, for their own clients."""

from __future__ import annotations

import logging
import re
import threading
import time

from typing import Annotated

import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_artifact_update_event, new_text_message
from a2a.helpers import new_text_status_update_event as status
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TaskState
from mcp.server.mcpserver import Context, MCPServer
from plugin import EMAIL
from pydantic import Field
from scripts import LINK
from starlette.applications import Starlette


class Server(uvicorn.Server):
    """An application in a thread of its own, on a port of the kernel's."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="none"))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        while not self.started:
            assert self.thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        self.port = self.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.should_exit = self.force_exit = True
        self.thread.join(10)


def tool_server(heard: list[str], json_response: bool) -> Starlette:
    """Tools, a resource and a prompt; `heard` gets what the tools are told."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    server = MCPServer("tools", log_level="CRITICAL")

    @server.tool(description="Says it again")
    def echo(text: str) -> str:
        heard.append(text)
        return text

    @server.tool(description="Counts, and reports")
    async def count(to: int, ctx: Context) -> str:
        for number in range(to):
            await ctx.report_progress(number + 1, to, f"at {number + 1}")
        return f"counted to {to}"

    @server.tool(description="Says what it should not")
    async def leak(ctx: Context) -> str:
        await ctx.report_progress(1, 2, f"asking {EMAIL}")
        return f"Write to {EMAIL} today."

    @server.tool(description="Sends what it should not")
    async def exfiltrate(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "on my way")
        return LINK

    @server.tool(description="Its address goes in a header too, from 2026-07-28 on")
    def post(to: Annotated[str, Field(json_schema_extra={"x-mcp-header": "To"})]) -> str:
        heard.append(to)
        return "sent"

    @server.tool(description="Says something aside, on the stream that the client opened by GET")
    async def announce(what: str, ctx: Context) -> str:
        said = {"leak": f"Write to {EMAIL} today.", "exfiltrate": LINK}.get(what, what)
        await ctx.session.send_log_message("info", said)
        return "announced"

    @server.resource("notes://mail", description="A note")
    def note() -> str:
        return f"Write to {EMAIL} today."

    @server.prompt(description="A question")
    def question(topic: str) -> str:
        heard.append(topic)
        return f"What of {topic}? Ask {EMAIL}."

    return server.streamable_http_app(json_response=json_response)


class Agent(AgentExecutor):
    """Answers a text with a message, or works on it as a task, by pieces."""

    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    async def execute(self, context, event_queue) -> None:
        asked = context.get_user_input()
        self.heard.append(asked)
        kind, _, text = asked.partition(": ")
        said = {"leak": f"Write to {EMAIL} today.", "exfiltrate": f"Look at this: {LINK} and more"}.get(text, text)
        if kind == "message":
            await event_queue.enqueue_event(new_text_message(said))
            return
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        ids = (task.id, task.context_id)
        await event_queue.enqueue_event(status(*ids, TaskState.TASK_STATE_WORKING, "thinking"))
        pieces = re.findall(r".{1,3}", said, re.DOTALL)
        for number, piece in enumerate(pieces):
            update = new_text_artifact_update_event(
                *ids, "answer", piece, append=number > 0, last_chunk=number == len(pieces) - 1, artifact_id="a1"
            )
            await event_queue.enqueue_event(update)
        await event_queue.enqueue_event(status(*ids, TaskState.TASK_STATE_COMPLETED, "done"))

    async def cancel(self, context, event_queue) -> None:
        raise NotImplementedError


def agent_card(url: str) -> AgentCard:
    """The card of the agent as it is reached at `url`."""
    bindings = (("JSONRPC", url + "/a2a"), ("HTTP+JSON", url))
    return AgentCard(
        name="agent",
        description="Answers",
        version="1",
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        capabilities=AgentCapabilities(streaming=True),
        skills=[AgentSkill(id="s", name="answer", description=f"Ask {EMAIL}", tags=["x"])],
        supported_interfaces=[AgentInterface(protocol_binding=k, url=v, protocol_version="1.0") for k, v in bindings],
    )


def agent_server(heard: list[str], card: AgentCard) -> Starlette:
    logging.getLogger("a2a").setLevel(logging.CRITICAL)
    handler = DefaultRequestHandler(Agent(heard), InMemoryTaskStore(), card)
    routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/a2a") + create_rest_routes(handler)
    return Starlette(routes=routes)
