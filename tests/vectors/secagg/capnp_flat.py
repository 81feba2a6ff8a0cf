"""Cap'n Proto messages of one segment, as much as FSA-1 needs (docs/protocol.md, "Messages").

A struct is written as (data words, pointers): a data word is an int, a pointer is None, bytes
(Data) or List. What a pointer points to follows in the order of the pointers, which is the order
in which demur's encoder sets its fields; a reader must take any order.
"""
import struct


class List:
    """A list of structs of one shape."""

    def __init__(self, data_words, pointers, items):
        self.data_words, self.pointers, self.items = data_words, pointers, items


def encode(data, pointers):
    """The flat message whose root is this struct."""
    words = [0, *data, *[0] * len(pointers)]
    words[0] = _struct_pointer(0, len(data), len(pointers))
    _fill(words, 1 + len(data), pointers)
    body = b"".join(struct.pack("<Q", word) for word in words)
    return struct.pack("<II", 0, len(words)) + body


def _struct_pointer(offset, data_words, pointers):
    return (offset << 2) & 0xFFFFFFFF | data_words << 32 | pointers << 48


def _list_pointer(offset, size, count):
    return (offset << 2 | 1) & 0xFFFFFFFF | size << 32 | count << 35


def _fill(words, at, pointers):
    for i, value in enumerate(pointers, at):
        offset = len(words) - i - 1
        if value is None:
            continue
        if isinstance(value, bytes):
            words[i] = _list_pointer(offset, 2, len(value))
            padded = value + bytes(-len(value) % 8)
            words.extend(w for (w,) in struct.iter_unpack("<Q", padded))
            continue
        each = value.data_words + value.pointers
        words[i] = _list_pointer(offset, 7, each * len(value.items))
        words.append(_struct_pointer(len(value.items), value.data_words, value.pointers))
        first = len(words)
        for data, inner in value.items:
            assert len(data) == value.data_words and len(inner) == value.pointers
            words.extend([*data, *[0] * len(inner)])
        for number, (data, inner) in enumerate(value.items):
            _fill(words, first + number * each + len(data), inner)


class Reader:
    """A struct of a message. Fields behind its end read as zero or empty."""

    def __init__(self, words, data_at, data_words, pointers):
        self.words, self.data_at = words, data_at
        self.data_words, self.pointers = data_words, pointers

    def unsigned(self, byte, size):
        data = struct.pack(f"<{self.data_words}Q", *self._data()).ljust(byte + size, b"\0")
        return int.from_bytes(data[byte : byte + size], "little")

    def data(self, number):
        at, pointer = self._pointer(number)
        if pointer == 0:
            return b""
        assert pointer & 3 == 1 and pointer >> 32 & 7 == 2, "not Data"
        start, size = self._target(at, pointer), pointer >> 35
        words = self.words[start : start + (size + 7) // 8]
        return struct.pack(f"<{len(words)}Q", *words)[:size]

    def struct(self, number):
        at, pointer = self._pointer(number)
        return _struct_at(self.words, at, pointer)

    def structs(self, number):
        at, pointer = self._pointer(number)
        if pointer == 0:
            return []
        assert pointer & 3 == 1 and pointer >> 32 & 7 == 7, "not a list of structs"
        tag_at = self._target(at, pointer)
        tag = self.words[tag_at]
        count, data_words, pointers = (tag & 0xFFFFFFFF) >> 2, tag >> 32 & 0xFFFF, tag >> 48
        each = data_words + pointers
        return [
            Reader(self.words, tag_at + 1 + i * each, data_words, pointers) for i in range(count)
        ]

    def _data(self):
        return self.words[self.data_at : self.data_at + self.data_words]

    def _pointer(self, number):
        if number >= self.pointers:
            return 0, 0
        at = self.data_at + self.data_words + number
        return at, self.words[at]

    @staticmethod
    def _target(at, pointer):
        offset = (pointer & 0xFFFFFFFF) >> 2
        return at + 1 + (offset - (1 << 30) if offset >> 29 else offset)


def _struct_at(words, at, pointer):
    assert pointer & 3 == 0, "not a struct"
    target = Reader._target(at, pointer)
    return Reader(words, target, pointer >> 32 & 0xFFFF, pointer >> 48)


def decode(message):
    """The root struct of a flat message."""
    segments, size = struct.unpack_from("<II", message)
    assert segments == 0 and len(message) == 8 + 8 * size, "one segment, nothing behind it"
    words = [w for (w,) in struct.iter_unpack("<Q", message[8:])]
    return _struct_at(words, 0, words[0])
