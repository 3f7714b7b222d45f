"""
A receiver of webhooks for the benchmark: `python -m bench.webhook_receiver FIRST LAST`.

It prints its port, then a line after the first and the last of these numbers of requests. It ends after ``LIMIT``
seconds.
"""

import asyncio
import sys
from contextlib import suppress

LIMIT = 300
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def receive(first: int, last: int) -> None:
    received = 0
    is_complete = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError):  # the worker or this program has ended
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(maxsplit=1)[0]))
                writer.write(OK)
                received += 1
                if received in (first, last):
                    print(received, flush=True)
                if received == last:
                    is_complete.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with asyncio.timeout(LIMIT):
        await is_complete.wait()


if __name__ == "__main__":
    asyncio.run(receive(int(sys.argv[1]), int(sys.argv[2])))
