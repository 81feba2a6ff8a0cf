"""The derivations of FSA-1 as docs/protocol.md states them: an implementation of its own, on
Python's standard library and the cryptography package."""
import hashlib
import hmac
import math
from fractions import Fraction

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PRIME = 2**61 - 1
NO_INDEX = 2**32 - 1
MASK, SELF = 1, 2  # kinds of share


def u8(v):
    return v.to_bytes(1, "big")


def u16(v):
    return v.to_bytes(2, "big")


def u32(v):
    return v.to_bytes(4, "big")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(key, salt, *info):
    """RFC 5869, 32 bytes."""
    extracted = hmac.digest(salt, key, "sha256")
    return hmac.digest(extracted, b"".join(info) + b"\x01", "sha256")


def public_bytes(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed25519(seed):
    return Ed25519PrivateKey.from_private_bytes(seed)


def x25519_from_seed(seed, announce):
    return X25519PrivateKey.from_private_bytes(hkdf(seed, announce, b"fsa1/x25519"))


def agree(private, public):
    return private.exchange(X25519PublicKey.from_public_bytes(public))


def keystream(key, length, block=0):
    cipher = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor()
    return cipher.update(bytes(length))


def gcm_seal(key, nonce, aad, plain):
    return AESGCM(key).encrypt(nonce, plain, aad)


def gcm_open(key, nonce, aad, sealed):
    return AESGCM(key).decrypt(nonce, sealed, aad)


def signing_input(frame_type, scope, index, body):
    return b"fsa1" + u16(frame_type) + scope + u32(index) + sha256(body)


# --- Roster tree


def leaf_rest(certificate, channel_key, mask_key, nonce, commitment):
    return sha256(b"fsa1/rest", sha256(certificate), channel_key, mask_key, nonce, commitment)


def split_at(size):
    """The largest power of two below size."""
    return 1 << (size - 1).bit_length() - 1


def tree_root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    left = split_at(len(leaves))
    return sha256(b"\x01", tree_root(leaves[:left]), tree_root(leaves[left:]))


def multiproof(leaves, shown, first=0):
    """From left to right, the roots of the largest subtrees without a leaf of `shown`."""
    if not any(first <= index < first + len(leaves) for index in shown):
        return [tree_root(leaves)]
    if len(leaves) == 1:
        return []
    left = split_at(len(leaves))
    return multiproof(leaves[:left], shown, first) + multiproof(
        leaves[left:], shown, first + left
    )


def root_from_proof(size, shown, proof, first=0):
    """`shown`: leaf by index. `proof`: a list that loses what was used."""
    if not any(first <= index < first + size for index in shown):
        return proof.pop(0)
    if size == 1:
        return shown[first]
    left = split_at(size)
    a = root_from_proof(left, shown, proof, first)
    return sha256(b"\x01", a, root_from_proof(size - left, shown, proof, first + left))


# --- Graph and committee


def draw_order(n, seed, number):
    block = number << 32
    words = []
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        while True:
            if not words:
                stream = keystream(seed, 64, block)
                block += 4
                words = [int.from_bytes(stream[a : a + 4], "big") for a in range(0, 64, 4)]
            word = words.pop(0)
            if word < 2**32 - 2**32 % (i + 1):
                break
        j = word % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def neighbours(n, k, kind, seed):
    """Of every member, ascending."""
    if kind == "complete":
        return [[j for j in range(n) if j != i] for i in range(n)]
    out = [set() for _ in range(n)]
    cycles, reach = (1, k // 2) if kind == "ring" else (k // 2, 1)
    for cycle in range(cycles):
        order = draw_order(n, seed, cycle)
        for at in range(n):
            for step in range(1, reach + 1):
                a, b = order[at], order[(at + step) % n]
                out[a].add(b)
                out[b].add(a)
    return [sorted(one) for one in out]


def draw_committee(n, m, seed):
    return list(range(n)) if m == n else sorted(draw_order(n, seed, 0)[:m])


# --- Parameters, in exact arithmetic


def pmf(n, marked, k, x):
    return Fraction(math.comb(marked, x) * math.comb(n - marked, k - x), math.comb(n, k))


def upper_quantile(n, marked, k, bound):
    """Least x with Pr[X > x] <= bound."""
    tail, x = Fraction(0), min(marked, k)
    while x > max(0, k - (n - marked)):
        tail += pmf(n, marked, k, x)
        if tail > bound:
            break
        x -= 1
    return x


def lower_quantile(n, marked, k, bound):
    """Greatest x with Pr[X < x] <= bound."""
    tail, x = Fraction(0), max(0, k - (n - marked))
    while x < min(marked, k):
        tail += pmf(n, marked, k, x)
        if tail > bound:
            break
        x += 1
    return x


def ring_rule(n, corrupt, dropped, sigma, eta):
    for k in range(2, n - 1, 2):
        cut = Fraction(n * (n - k - 1), 2)
        for i in range(k):
            cut *= Fraction(max(corrupt + dropped - i, 0), n - i)
        if cut >= Fraction(1, 2 ** (sigma + 1)):
            continue
        t1 = upper_quantile(n, corrupt, k, Fraction(1, n * 2 ** (sigma + 1)))
        if lower_quantile(n, n - dropped, k, Fraction(1, n * 2**eta)) > t1:
            return k, max(t1 + 1, 2)
    return None


def ruled_out(n, permille, corrupt, dropped, sigma, s, k):
    """Whether the union bound leaves no set of s honest members to cut off."""
    honest = n - corrupt
    sets = math.comb(honest, s) * math.comb(honest - s, dropped)
    inside = Fraction(permille, 1000) + Fraction(s, n)
    return inside < 1 and sets * inside ** (k * s) * 2**sigma <= 1


def expander_rule(n, permille, corrupt, dropped, sigma, eta):
    largest = (n - corrupt - dropped) // 2
    for k in range(2, n - 1, 2):
        s0 = largest
        while s0 > 0 and ruled_out(n, permille, corrupt, dropped, sigma, s0, k):
            s0 -= 1
        if s0 == largest:
            continue
        t = max(upper_quantile(n, corrupt, k, Fraction(1, n * 2 ** (sigma + 1))) + s0, 2)
        if lower_quantile(n, n - dropped, k, Fraction(1, n * 2**eta)) >= t:
            return k, t
    return None


def committee_rule(n, corrupt, dropped, sigma, eta):
    for m in range(2, n + 1, 2):
        a = upper_quantile(n, corrupt, m, Fraction(1, 2**sigma))
        q = (m + a) // 2 + 1
        if lower_quantile(n, n - dropped, m, Fraction(1, 2**eta)) >= q:
            return m, q
    return None


def parameters(n, malicious, corrupt_permille, dropout_permille, sigma, eta):
    corrupt, dropped = corrupt_permille * n // 1000, dropout_permille * n // 1000
    out = {"survivors_min": n - dropped, "m": 0, "q": 0}
    if not malicious:
        out["graph"] = "ring"
        out["k"], out["t"] = ring_rule(n, corrupt, dropped, sigma, eta)
    elif n <= 200:
        out["graph"] = "complete"
        out["k"], out["m"] = n - 1, n
        out["t"] = out["q"] = (n + corrupt) // 2 + 1
    else:
        out["graph"] = "expander"
        permille = corrupt_permille + dropout_permille
        out["k"], out["t"] = expander_rule(n, permille, corrupt, dropped, sigma, eta)
        out["m"], out["q"] = committee_rule(n, corrupt, dropped, sigma, eta)
    return out


# --- Shares

LIMBS = [(0, 7), (7, 14), (14, 21), (21, 28), (28, 32)]


class Coins:
    """The stream that polynomials and nonces are drawn from, in order."""

    def __init__(self, key):
        self.cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def take(self, length):
        return self.cipher.update(bytes(length))

    def coefficients(self, count):
        out = [int.from_bytes(self.take(8), "little") >> 3 for _ in range(count)]
        for i, value in enumerate(out):
            while value == PRIME:
                value = int.from_bytes(self.take(8), "little") >> 3
            out[i] = value
        return out


def split_secret(secret, t, xs, coins):
    shares = [b"" for _ in xs]
    for begin, end in LIMBS:
        polynomial = [int.from_bytes(secret[begin:end], "big"), *coins.coefficients(t - 1)]
        for i, x in enumerate(xs):
            y = sum(c * pow(x, power, PRIME) for power, c in enumerate(polynomial)) % PRIME
            shares[i] += y.to_bytes(8, "big")
    return shares


def open_secret(shares):
    """`shares`: exactly t of them, by x."""
    secret = b""
    for limb, (begin, end) in enumerate(LIMBS):
        value = 0
        for x, share in shares.items():
            weight = 1
            for other in shares:
                if other != x:
                    weight = weight * other * pow(other - x, -1, PRIME) % PRIME
            value += weight * int.from_bytes(share[8 * limb : 8 * limb + 8], "big")
        secret += (value % PRIME).to_bytes(end - begin, "big")
    return secret


# --- Vectors


def mask_words(key, dim):
    stream = keystream(key, 4 * dim)
    return [int.from_bytes(stream[4 * w : 4 * w + 4], "little") for w in range(dim)]


def pack(values, bits):
    total = sum((value % 2**bits) << (w * bits) for w, value in enumerate(values))
    return total.to_bytes((len(values) * bits + 7) // 8, "little")


def unpack(packed, bits, dim):
    total = int.from_bytes(packed, "little")
    assert total >> (dim * bits) == 0, "bits behind the end"
    return [total >> (w * bits) & (2**bits - 1) for w in range(dim)]


def bitmap(members, n):
    return sum(1 << i for i in members).to_bytes((n + 7) // 8, "little")
