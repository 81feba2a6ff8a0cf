"""M0 to M10 of FSA-1 as frame bodies (docs/protocol.md, "Messages"; common/wire/schema)."""
from capnp_flat import List, decode, encode

SERVER = "server"
NEIGHBOUR = (1, 2)
COMMITTEE = (1, 2)
SEALED = (1, 4)
CONFIRMATION = (1, 2)
REVEALED = (1, 1)


def signed(body, signature):
    return encode([], [body, signature])


def open_signed(frame):
    root = decode(frame)
    return root.data(0), root.data(1)


def announce(plan, nonce_commitment):
    return encode([], [plan, nonce_commitment])


def advertise(announce_hash, m):
    fields = [m["identity_key"], m["certificate"], m["channel_key"], m["mask_key"]]
    return encode([], [announce_hash, *fields, m["nonce"], m["self_commitment"], None, None])


def roster(nonce, size, root, index, shown, committee, proof):
    """shown: (index, M1 body, signature); committee: (index, identity key, rest)."""
    shown = List(*NEIGHBOUR, [([i], [body, signature]) for i, body, signature in shown])
    committee = List(*COMMITTEE, [([i], [key, rest]) for i, key, rest in committee])
    return encode([size | index << 32], [nonce, root, shown, committee, b"".join(proof)])


def _sealed(items):
    """items: (index, nonce, sealed, mask share hash, self share hash)."""
    return List(*SEALED, [([index], list(fields)) for index, *fields in items])


def shares(session, items):
    return encode([], [session, _sealed(items)])


def inbox(session, shared, items):
    return encode([], [session, shared, _sealed(items)])


def masked(session, shared_hash, dim, bits, packed, packed_hash):
    return encode([dim | bits << 32], [session, shared_hash, packed, packed_hash])


def confirm_request(session, survivors):
    return encode([], [session, survivors])


def confirm(session, signature):
    return encode([], [session, signature])


def unmask_request(session, confirmations):
    """confirmations: (index, certificate, signature)."""
    items = [([i], [certificate, signature]) for i, certificate, signature in confirmations]
    return encode([], [session, List(*CONFIRMATION, items)])


def unmask(session, revealed):
    """revealed: (dealer, kind, share)."""
    items = [([dealer | kind << 32], [share]) for dealer, kind, share in revealed]
    return encode([], [session, List(*REVEALED, items)])


def close(announce_hash, status, result_hash):
    return encode([status], [announce_hash, result_hash])


def read_unmask(body):
    return [
        (item.unsigned(0, 4), item.unsigned(4, 1), item.data(0)) for item in decode(body).structs(1)
    ]


def read_plan(plan):
    """What of a Plan the protocol depends on."""
    root = decode(plan)
    encoding, secagg = root.struct(3), root.struct(5)
    tables = root.struct(2).structs(2)
    assert all(table.unsigned(16, 1) & 1 for table in tables), "slices of whole tables"
    return {
        "model_hash": root.data(1),
        "dim": sum(table.unsigned(0, 4) * table.unsigned(4, 4) for table in tables),
        "bits": encoding.unsigned(12, 4),
        "malicious": secagg.unsigned(0, 1) == 2,
        "corrupt_permille": secagg.unsigned(12, 4),
        "dropout_permille": secagg.unsigned(16, 4),
        "sigma": secagg.unsigned(20, 4),
        "eta": secagg.unsigned(24, 4),
    }
