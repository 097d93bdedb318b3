"""`run.py mcp`: offers the running service as tools of the Model Context Protocol."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from src.errors import ExitCode
from src.settings import Settings

NAME, HELP = "mcp", "offer the running service as MCP tools"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--http", action="store_true", help="over HTTP, instead of standard input and output")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; beyond this machine only with API keys")
    parser.add_argument("--port", type=int, default=8001, help="default: 8001")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.mcp import main as mcp  # for this command only: it brings a web server

    return mcp.http(settings, options.host, options.port) if options.http else mcp.stdio(settings)
