"""M0 to M10 of FSA-1 as frame bodies (docs/protocol.md, "Messages"; common/wire/schema)."""
from capnp_flat import List, decode, encode

SERVER = "server"
NEIGHBOUR = (1, 2)
COMMITTEE = (1, 2)
CONFIRMATION = (1, 2)


def signed(body, signature):
    return encode([], [body, signature])


def open_signed(frame):
    root = decode(frame)
    return root.data(0), root.data(1)


def announce(plan, nonce_commitment):
    return encode([], [plan, nonce_commitment])


def advertise(announce_hash, m):
    fields = [m["identity_key"], m["certificate"], m["channel_key"], m["mask_key"]]
    return encode([], [announce_hash, *fields, m["nonce"], m["self_commitment"]])


def roster(nonce, size, root, index, shown, committee, proof):
    """shown: (index, M1 body, signature); committee: (index, identity key, rest)."""
    shown = List(*NEIGHBOUR, [([i], [body, signature]) for i, body, signature in shown])
    committee = List(*COMMITTEE, [([i], [key, rest]) for i, key, rest in committee])
    return encode([size | index << 32], [nonce, root, shown, committee, b"".join(proof)])


def _sealed(items):
    """Records of 132 bytes. items: (index, sealed, mask share hash, self share hash)."""
    return b"".join(index.to_bytes(4, "big") + b"".join(fields) for index, *fields in items)


def shares(session, items):
    return encode([], [session, _sealed(items)])


def inbox(session, shared, items):
    return encode([], [session, shared, _sealed(items)])


def masked(session, shared_hash, dim, bits, packed):
    return encode([dim | bits << 32], [session, shared_hash, packed])


def confirm_request(session, survivors):
    return encode([], [session, survivors])


def confirm(session, signature):
    return encode([], [session, signature])


def unmask_request(session, confirmations):
    """confirmations: (index, certificate, signature)."""
    items = [([i], [certificate, signature]) for i, certificate, signature in confirmations]
    return encode([], [session, List(*CONFIRMATION, items)])


def unmask(session, revealed):
    """Records of 45 bytes. revealed: (dealer, kind, share)."""
    records = [dealer.to_bytes(4, "big") + bytes([kind]) + share for dealer, kind, share in revealed]
    return encode([], [session, b"".join(records)])


def close(announce_hash, status, result_hash):
    return encode([status], [announce_hash, result_hash])


def read_unmask(body):
    shares = decode(body).data(1)
    records = [shares[at : at + 45] for at in range(0, len(shares), 45)]
    return [(int.from_bytes(one[:4], "big"), one[4], one[5:]) for one in records]


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
