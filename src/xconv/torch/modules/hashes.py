"""TensorFlow's hashes of whole numbers, which it takes of their decimal digits: FarmHash, SipHash; and a cross of both.

All arithmetic is that of unsigned numbers of 64 bits, held in torch's signed ones: sums and products are the same,
shifts to the right and remainders are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["buckets", "crossed"]

LONGEST = 20
"""Characters: 19 digits and a sign."""


def _signed(number: int) -> int:
    """A constant of 64 bits as torch holds it."""
    number %= 1 << 64
    return number - (1 << 64) if number >= 1 << 63 else number


K0, K1, K2 = (_signed(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
CROSS = _signed(0xC6A4A7935BD1E995)
CROSS_KEY = 0xDECAFCAFFE
SIP = tuple(_signed(k) for k in (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573))


def buckets(x: Tensor, count: int, salt: Sequence[int] | None = None) -> Tensor:
    """`tf.strings.to_hash_bucket_fast(tf.as_string(x), count)`, or with a salt `to_hash_bucket_strong`."""
    text, length = _digits(x.to(torch.int64))
    return _remainder(_farm(text, length) if salt is None else _sip(text, length, salt), count)


def crossed(columns: Sequence[Tensor], count: int) -> Tensor:
    """`tf.sparse.cross_hashed` of one whole number a sample and column."""
    result = torch.full_like(columns[0], CROSS_KEY, dtype=torch.int64)
    for column in columns:
        mixed = result ^ CROSS ^ _folded(column.to(torch.int64) * CROSS) * CROSS
        result = _folded(_folded(mixed * CROSS) * CROSS)
    return _remainder(result, count)


def _digits(x: Tensor) -> tuple[Tensor, Tensor]:
    """The bytes of the numbers in decimals, zeros behind them, along a new last axis; and how many there are."""
    found, rest = [], x
    for _ in range(LONGEST - 1):
        found.append(torch.fmod(rest, 10).abs())
        rest = torch.div(rest, 10, rounding_mode="trunc")
    digits = torch.stack(found, -1)
    places = torch.arange(LONGEST, device=x.device)
    used = torch.where(digits != 0, places[:-1] + 1, 0).amax(-1).clamp(min=1)
    length = used + (x < 0)
    turned = (length[..., None] - 1 - places).clamp(0, LONGEST - 2)
    text = digits.gather(-1, turned) + ord("0")
    text = torch.where((places == 0) & (x < 0)[..., None], ord("-"), text)
    return torch.where(places < length[..., None], text, 0), length


def _word(text: Tensor, start: Tensor | int, size: int = 8) -> Tensor:
    """Bytes from `start` on as one number, the lowest first; beyond the text there are zeros."""
    first = torch.as_tensor(start, device=text.device).expand(text.shape[:-1])
    number = torch.zeros_like(text[..., 0])
    for place in range(size):
        at = first + place
        byte = text.gather(-1, at.clamp(0, LONGEST - 1)[..., None])[..., 0]
        number = number | torch.where(at < LONGEST, byte, 0) << (8 * place)
    return number


def _right(x: Tensor, by: int) -> Tensor:
    """A shift to the right that brings zeros."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _turned(x: Tensor, by: int) -> Tensor:
    """Turned to the right."""
    return _right(x, by) | x << (64 - by)


def _folded(x: Tensor) -> Tensor:
    return x ^ _right(x, 47)


def _remainder(x: Tensor, by: int) -> Tensor:
    """The remainder of the unsigned number."""
    return torch.where(x >= 0, x.remainder(by), (_right(x, 1).remainder(by) * 2 + (x & 1)).remainder(by))


def _of_two(u: Tensor, v: Tensor, factor: Tensor) -> Tensor:
    return _folded((v ^ _folded((u ^ v) * factor)) * factor) * factor


def _farm(text: Tensor, length: Tensor) -> Tensor:
    """FarmHash's Fingerprint64 of 1 to 20 bytes."""
    factor = length * 2 + K2
    first, tail = _word(text, 0), _word(text, (length - 8).clamp(min=0))
    a = first + K2
    middle = _of_two(_turned(tail, 37) * factor + a, (_turned(a, 25) + tail) * factor, factor)
    ends = _word(text, 0, 4), _word(text, (length - 4).clamp(min=0), 4)
    short = _of_two(length + (ends[0] << 3), ends[1], factor)
    one, half, last = (_word(text, place, 1) for place in (0, length // 2, length - 1))
    shortest = _folded((one + (half << 8)) * K2 ^ (length + (last << 2)) * K0) * K2
    a, b, c, d = first * K1, _word(text, 8), tail * factor, _word(text, (length - 16).clamp(min=0)) * K2
    long = _of_two(_turned(a + b, 43) + _turned(c, 30) + d, a + _turned(b + K2, 18) + c, factor)
    found = torch.where(length >= 4, short, shortest)
    return torch.where(length > 16, long, torch.where(length >= 8, middle, found))


def _sip(text: Tensor, length: Tensor, salt: Sequence[int]) -> Tensor:
    """SipHash-2-4 of 1 to 20 bytes."""
    keys = (_signed(salt[0]), _signed(salt[1]))
    state = [torch.full_like(length, start ^ keys[place % 2]) for place, start in enumerate(SIP)]
    for block in range(3):
        word = _word(text, 8 * block)
        last = length // 8 == block
        word = torch.where(last, word | length << 56, word)
        changed = _absorbed(state, word)
        state = [torch.where(length // 8 >= block, new, old) for new, old in zip(changed, state, strict=True)]
    state[2] = state[2] ^ 0xFF
    for _ in range(4):
        state = _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _absorbed(state: Sequence[Tensor], word: Tensor) -> list[Tensor]:
    mixed = _round(_round([*state[:3], state[3] ^ word]))
    return [mixed[0] ^ word, *mixed[1:]]


def _round(state: Sequence[Tensor]) -> list[Tensor]:
    """One round of SipHash."""
    a, b, c, d = state
    a, c = a + b, c + d
    b, d = _turned(b, 51) ^ a, _turned(d, 48) ^ c
    a = _turned(a, 32)
    a, c = a + d, c + b
    d, b = _turned(d, 43) ^ a, _turned(b, 47) ^ c
    return [a, b, _turned(c, 32), d]
