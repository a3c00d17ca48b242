"""BDAT: octets that are taken or discarded before the next command is read (RFC 3030)."""

import re

from posthouse.mail.reply import Reply
from posthouse.smtp import replies
from posthouse.smtp.data import ChunkReader
from posthouse.smtp.session_state import (
    Chunk,
    DataRequest,
    ServerConfig,
    SessionStage,
    SessionState,
)
from posthouse.smtp.verbs import VERBS, refuse

_CHUNK = re.compile(r"([0-9]{1,20})(?: ++(LAST))?", re.IGNORECASE)


def begin_chunk(state: SessionState, config: ServerConfig, argument: str) -> DataRequest | None:
    """BDAT has come: its octets are the chunk of *state*. An event if its message begins.

    Without a chunk afterwards the argument could not be read: what follows cannot be told from
    commands.
    """
    match = _CHUNK.fullmatch(argument)
    if match is None:
        return None
    size = int(match[1])
    state.chunk = chunk = Chunk(size, last=match[2] is not None, left=size)
    if state.discards_chunks:
        chunk.reply = replies.CHUNK_DISCARDED
    elif state.data is None:
        chunk.reply = refuse(VERBS["BDAT"], state, config, argument)
        return DataRequest() if chunk.reply is None else None
    return None


def take_chunk(state: SessionState, chunk: Chunk, received: bytearray) -> bool:
    """Take what has come of *chunk* off the front of *received*; whether that is all of it."""
    if chunk.reply is None and isinstance(state.data, ChunkReader):
        chunk.left -= state.data.feed(received, chunk.left)
    else:
        taken = min(chunk.left, len(received))
        del received[:taken]
        chunk.left -= taken
    return not chunk.left


def end_chunk(state: SessionState, chunk: Chunk) -> Reply | None:
    """All of *chunk* has come: the reply, or None if its message has ended with it."""
    state.chunk = None
    if chunk.reply is not None:
        # The message failed with it: what a client sent before it knew is discarded too.
        state.envelope, state.discards_chunks = None, not chunk.last
        state.stage = min(state.stage, SessionStage.READY)
        return chunk.reply
    assert isinstance(state.data, ChunkReader)  # by begin_data
    if chunk.last:
        state.data.finish()
    elif not state.data.given_up:
        return replies.chunk_taken(chunk.size)
    state.discards_chunks = not chunk.last
    return None
