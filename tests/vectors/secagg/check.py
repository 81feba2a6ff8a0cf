#!/usr/bin/env python3
"""Recomputes the golden sessions from their inputs and compares every value of the files.

usage: check.py        exit 0: all values agree; 1: the first that does not is named

Inputs: plan, seeds, nonces, certificates, vectors, who left when and whose confirmations M8 holds.
Everything else is made here, by fsa1.py and messages.py, and nothing by the library. Needs Python's
cryptography package.
"""
import json
import os
import sys

import fsa1
import messages
from fsa1 import MASK, SELF, ed25519, public_bytes, sha256, u32

HERE = os.path.dirname(os.path.abspath(__file__))
M = {number: 10 + number for number in range(11)}  # frame types
INPUTS = ["identity_seed", "certificate", "channel_seed", "mask_seed", "self_seed", "share_seed"]


class Session:
    """One session, step by step as the messages go."""

    def __init__(self, given):
        self.given = given
        self.plan_bytes = bytes.fromhex(given["plan"])
        self.plan = messages.read_plan(self.plan_bytes)
        self.silent_from = {
            one["index"]: (int(one["message"][1:]), one["says_leave"])
            for one in given["silent_from"]
        }
        self.server = ed25519(bytes.fromhex(given["server"]["signing_seed"]))
        self.server_nonce = bytes.fromhex(given["server"]["nonce"])
        self.result_hash = bytes.fromhex(given["server"]["result_hash"])
        self.frames = {}  # (member, number) -> frame body
        self.n = len(given["members"])
        self.announce()
        self.advertise()
        self.freeze()
        self.deal()
        self.mask()
        self.confirm()
        self.unmask()
        self.close()

    # --- Who speaks

    def says(self, member, number):
        gone = self.silent_from.get(member)
        return gone is None or number < gone[0]

    def hears(self, member, number):
        """One that said Leave is sent nothing any more."""
        gone = self.silent_from.get(member)
        return gone is None or not gone[1] or number < gone[0]

    def from_member(self, member, number, body):
        scope, index = (self.a, fsa1.NO_INDEX) if number == 1 else (self.session, member)
        key = self.members[member]["identity"]
        signature = key.sign(fsa1.signing_input(M[number], scope, index, body))
        self.frames[member, number] = messages.signed(body, signature)

    def from_server(self, member, number, body):
        if not self.hears(member, number):
            return
        scope = {0: bytes(32), 2: self.a, 10: self.a}.get(number)
        scope = self.session if scope is None else scope
        signing = fsa1.signing_input(M[number], scope, fsa1.NO_INDEX, body)
        self.frames[member, number] = messages.signed(body, self.server.sign(signing))

    # --- M0 to M10

    def announce(self):
        body = messages.announce(self.plan_bytes, sha256(self.server_nonce))
        self.a = sha256(body)
        self.params_hash = sha256(self.plan_bytes)
        for member in range(self.n):
            self.from_server(member, 0, body)

    def advertise(self):
        self.members = []
        for index, given in enumerate(self.given["members"]):
            m = {name: bytes.fromhex(given[name]) for name in [*INPUTS, "nonce"]}
            m["identity"] = ed25519(m["identity_seed"])
            m["identity_key"] = public_bytes(m["identity"])
            m["channel"] = fsa1.x25519_from_seed(m["channel_seed"], self.a)
            m["mask"] = fsa1.x25519_from_seed(m["mask_seed"], self.a)
            m["channel_key"], m["mask_key"] = public_bytes(m["channel"]), public_bytes(m["mask"])
            m["self_commitment"] = sha256(b"fsa1/comB", self.a, m["identity_key"], m["self_seed"])
            fields = [m[f] for f in ("certificate", "channel_key", "mask_key", "nonce")]
            m["rest"] = fsa1.leaf_rest(*fields, m["self_commitment"])
            m["leaf"] = sha256(b"\0", m["identity_key"], m["rest"])
            m["input"] = given["input"]
            self.members.append(m)
            self.from_member(index, 1, messages.advertise(self.a, m))
        keys = [m["identity_key"] for m in self.members]
        assert keys == sorted(set(keys)), "the roster is in order of the identity keys"

    def freeze(self):
        plan = self.plan
        names = ["malicious", "corrupt_permille", "dropout_permille", "sigma", "eta"]
        self.parameters = fsa1.parameters(self.n, *[plan[name] for name in names])
        leaves = [m["leaf"] for m in self.members]
        self.root = fsa1.tree_root(leaves)
        self.session = sha256(b"fsa1/session", self.a, self.server_nonce, self.root, u32(self.n))
        self.graph_seed = fsa1.hkdf(self.session, self.root, b"fsa1/graph")
        p = self.parameters
        self.neighbours = fsa1.neighbours(self.n, p["k"], p["graph"], self.graph_seed)
        self.committee = []
        if plan["malicious"]:
            self.committee_seed = fsa1.hkdf(self.session, self.root, b"fsa1/committee")
            self.committee = fsa1.draw_committee(self.n, p["m"], self.committee_seed)
        for index in range(self.n):
            self.from_server(index, 2, self.roster_for(index, leaves))

    def roster_for(self, index, leaves):
        shown = []
        for other in self.neighbours[index]:
            shown.append((other, *messages.open_signed(self.frames[other, 1])))
        indices = {index, *self.neighbours[index]}
        others = [i for i in self.committee if i not in indices]
        entries = [(i, self.members[i]["identity_key"], self.members[i]["rest"]) for i in others]
        indices.update(others)
        proof = []
        if self.plan["malicious"]:
            proof = fsa1.multiproof(leaves, indices)
            known = {i: leaves[i] for i in indices}
            rest = list(proof)
            assert fsa1.root_from_proof(self.n, known, rest) == self.root and not rest
        return messages.roster(
            self.server_nonce, self.n, self.root, index, shown, entries, proof
        )

    def channel_key(self, dealer, holder, private, other):
        """From either end: `private` is ours, `other` the peer's public key."""
        keys = [self.members[i]["channel_key"] for i in (dealer, holder)]
        info = b"fsa1/share" + u32(dealer) + u32(holder) + keys[0] + keys[1]
        return fsa1.hkdf(fsa1.agree(private, other), self.session, info)

    def share_hash(self, dealer, holder, kind, share):
        parts = [b"fsa1/share-hash", self.session, u32(dealer), u32(holder), bytes([kind]), share]
        return sha256(*parts)[:16]

    def deal_one(self, dealer):
        m = self.members[dealer]
        coins = fsa1.Coins(fsa1.hkdf(m["share_seed"], self.session, b"fsa1/coins"))
        holders = self.neighbours[dealer]
        xs = [holder + 1 for holder in holders]
        mask = fsa1.split_secret(m["mask_seed"], self.parameters["t"], xs, coins)
        own = fsa1.split_secret(m["self_seed"], self.parameters["t"], xs, coins)
        out = {}
        for i, holder in enumerate(holders):
            key = self.channel_key(dealer, holder, m["channel"], self.members[holder]["channel_key"])
            ends = u32(dealer) + u32(holder)
            aad = b"fsa1/M3" + self.session + self.root + ends + self.params_hash
            out[holder] = {
                "holder": holder,
                "channel_key": key,
                "aad": aad,
                "mask_share": mask[i],
                "self_share": own[i],
                "mask_share_hash": self.share_hash(dealer, holder, MASK, mask[i]),
                "self_share_hash": self.share_hash(dealer, holder, SELF, own[i]),
                "sealed": fsa1.gcm_seal(key, bytes(12), aad, mask[i] + own[i]),
            }
        return out

    @staticmethod
    def item(index, dealt):
        fields = ["sealed", "mask_share_hash", "self_share_hash"]
        return (index, *[dealt[field] for field in fields])

    def deal(self):
        self.dealt = [self.deal_one(dealer) for dealer in range(self.n)]
        self.shared = [i for i in range(self.n) if self.says(i, 3)]  # U2
        for dealer in self.shared:
            items = [self.item(holder, one) for holder, one in self.dealt[dealer].items()]
            self.from_member(dealer, 3, messages.shares(self.session, items))
        self.shared_bits = fsa1.bitmap(self.shared, self.n)
        self.received = {}
        for holder in self.shared:
            dealers = [i for i in self.neighbours[holder] if i in self.shared]
            items = [self.item(dealer, self.dealt[dealer][holder]) for dealer in dealers]
            self.from_server(holder, 4, messages.inbox(self.session, self.shared_bits, items))
            self.received[holder] = {i: self.open_share(i, holder) for i in dealers}

    def open_share(self, dealer, holder):
        """As the holder opens it, with its own private key."""
        one = self.dealt[dealer][holder]
        private, peer = self.members[holder]["channel"], self.members[dealer]["channel_key"]
        key = self.channel_key(dealer, holder, private, peer)
        plain = fsa1.gcm_open(key, bytes(12), one["aad"], one["sealed"])
        return {MASK: plain[:40], SELF: plain[40:]}

    def pair_key(self, one, other, private):
        low, high = sorted((one, other))
        keys = self.members[low]["mask_key"] + self.members[high]["mask_key"]
        info = b"fsa1/pair" + u32(low) + u32(high) + keys
        agreed = fsa1.agree(private, self.members[other]["mask_key"])
        return fsa1.hkdf(agreed, self.session, info, self.plan["model_hash"], self.params_hash)

    def self_mask_key(self, index, seed):
        info = b"fsa1/self" + u32(index) + self.plan["model_hash"] + self.params_hash
        return fsa1.hkdf(seed, self.session, info)

    def mask(self):
        dim, bits = self.plan["dim"], self.plan["bits"]
        self.survivors = [i for i in self.shared if self.says(i, 5)]  # U3
        self.packed = {}
        for i in self.survivors:
            m = self.members[i]
            own = fsa1.mask_words(self.self_mask_key(i, m["self_seed"]), dim)
            values = [x + w for x, w in zip(m["input"], own, strict=True)]
            for j in self.neighbours[i]:
                if j not in self.shared:
                    continue
                words = fsa1.mask_words(self.pair_key(i, j, m["mask"]), dim)
                sign = 1 if j > i else -1
                values = [v + sign * w for v, w in zip(values, words, strict=True)]
            packed = self.packed[i] = fsa1.pack(values, bits)
            fields = [sha256(self.shared_bits), dim, bits, packed]
            self.from_member(i, 5, messages.masked(self.session, *fields))
        self.survivors_bits = fsa1.bitmap(self.survivors, self.n)

    def confirm(self):
        for i in self.survivors:
            self.from_server(i, 6, messages.confirm_request(self.session, self.survivors_bits))
        if not self.plan["malicious"]:
            return
        facts = [self.session, self.root, self.plan["model_hash"], self.params_hash]
        sets = [self.shared_bits, self.survivors_bits]
        self.transcript = sha256(b"fsa1/confirm", *facts, *sets)
        signatures = {}
        for i in self.committee:
            if i in self.survivors and self.says(i, 7):
                identity = self.members[i]["identity"]
                signatures[i] = identity.sign(b"fsa1/confirmed" + self.transcript)
                self.from_member(i, 7, messages.confirm(self.session, signatures[i]))
        signers = self.given["derived"]["signers"]  # who was first is the network's
        assert signers == sorted(set(signers)) and len(signers) == self.parameters["q"]
        quorum = [(i, self.members[i]["certificate"], signatures[i]) for i in signers]
        for i in self.survivors:
            self.from_server(i, 8, messages.unmask_request(self.session, quorum))

    def unmask(self):
        for i in self.survivors:
            if not self.says(i, 9):
                continue
            revealed = []
            for dealer, held in self.received[i].items():
                kind = SELF if dealer in self.survivors else MASK
                revealed.append((dealer, kind, held[kind]))
            self.from_member(i, 9, messages.unmask(self.session, revealed))
        self.open_sum()

    def open_sum(self):
        """As the coordinator: from M5 and M9 alone."""
        shares = {}
        for holder in self.survivors:
            if (holder, 9) in self.frames:
                body, _ = messages.open_signed(self.frames[holder, 9])
                for dealer, _, share in messages.read_unmask(body):
                    shares.setdefault(dealer, {})[holder] = share
        dim, bits = self.plan["dim"], self.plan["bits"]
        total = [0] * dim
        for packed in self.packed.values():
            total = [a + b for a, b in zip(total, fsa1.unpack(packed, bits, dim), strict=True)]
        self.opened = []
        for dealer in self.shared:
            holders = sorted(shares[dealer])[: self.parameters["t"]]
            seed = fsa1.open_secret({h + 1: shares[dealer][h] for h in holders})
            survived = dealer in self.survivors
            kind = "self" if survived else "mask"
            self.opened.append({"dealer": dealer, "kind": kind, "holders": holders, "seed": seed})
            for sign, key in self.masks_of(dealer, seed, survived):
                words = fsa1.mask_words(key, dim)
                total = [a - sign * w for a, w in zip(total, words, strict=True)]
        self.sum = [value % 2**bits for value in total]
        inputs = zip(*[self.members[i]["input"] for i in self.survivors], strict=True)
        assert self.sum == [sum(column) % 2**bits for column in inputs]

    def masks_of(self, dealer, seed, survived):
        """What is in the sum because of this member: (sign, key of the mask)."""
        m = self.members[dealer]
        if survived:
            assert sha256(b"fsa1/comB", self.a, m["identity_key"], seed) == m["self_commitment"]
            return [(1, self.self_mask_key(dealer, seed))]
        private = fsa1.x25519_from_seed(seed, self.a)
        assert public_bytes(private) == m["mask_key"]
        return [
            (1 if dealer > j else -1, self.pair_key(dealer, j, private))
            for j in self.neighbours[dealer]
            if j in self.survivors
        ]

    def close(self):
        for i in range(self.n):
            self.from_server(i, 10, messages.close(self.a, 1, self.result_hash))

    # --- The document again

    def document(self):
        g = self.given
        server = {name: g["server"][name] for name in ("signing_seed", "nonce", "result_hash")}
        server["signing_key"] = public_bytes(self.server)
        return {
            "about": g["about"],
            "profile": "malicious" if self.plan["malicious"] else "semi-honest",
            "plan": g["plan"],
            "bits": self.plan["bits"],
            "dim": self.plan["dim"],
            "server": server,
            "silent_from": g["silent_from"],
            "derived": self.derived(),
            "opened": self.opened,
            "members": [self.member(i) for i in range(self.n)],
        }

    def derived(self):
        out = {
            "parameters": {k: v for k, v in self.parameters.items() if k != "graph"},
            "announce_hash": self.a,
            "params_hash": self.params_hash,
            "model_hash": self.plan["model_hash"],
            "root": self.root,
            "session": self.session,
            "graph_seed": self.graph_seed,
            "shared": self.shared_bits,
            "shared_hash": sha256(self.shared_bits),
            "survivors": self.survivors_bits,
            "survivors_hash": sha256(self.survivors_bits),
            "sum": self.sum,
        }
        if self.plan["malicious"]:
            out["committee_seed"] = self.committee_seed
            out["committee"] = self.committee
            out["transcript"] = self.transcript
            out["signers"] = self.given["derived"]["signers"]
        return out

    def member(self, index):
        m, given = self.members[index], self.given["members"][index]
        names = [*INPUTS, "nonce", "identity_key", "channel_key", "mask_key", "self_commitment"]
        out = {name: m[name] for name in [*names, "rest", "leaf", "input"]}
        self_key = self.self_mask_key(index, m["self_seed"])
        out.update(index=index, neighbours=self.neighbours[index])
        out.update(self_mask_key=self_key, self_mask_words=first_words(self_key))
        if index in self.packed:
            out["packed"] = self.packed[index]
        if "dealt" in given:
            out["dealt"] = list(self.dealt[index].values())
        if "pairs" in given:
            out["pairs"] = []
            for j in self.neighbours[index]:
                key = self.pair_key(index, j, m["mask"])
                out["pairs"].append({"peer": j, "key": key, "words": first_words(key)})
        whole = {f"M{n}": f for (i, n), f in self.frames.items() if i == index}
        out["frames"] = {name: f for name, f in whole.items() if name in given["frames"]}
        hashes = {name: sha256(f) for name, f in whole.items() if name not in given["frames"]}
        if hashes:
            out["frames_sha256"] = hashes
        return out


def first_words(key):
    return b"".join(u32(word) for word in fsa1.mask_words(key, 2))


def expander(given):
    n, names = given["n"], ["corrupt_permille", "dropout_permille", "sigma", "eta"]
    p = fsa1.parameters(n, True, *[given[name] for name in names])
    kind = p.pop("graph")
    session, leaves = sha256(b"a session"), [sha256(u32(i)) for i in range(n)]
    root = fsa1.tree_root(leaves)
    graph_seed = fsa1.hkdf(session, root, b"fsa1/graph")
    committee_seed = fsa1.hkdf(session, root, b"fsa1/committee")
    committee = fsa1.draw_committee(n, p["m"], committee_seed)
    joined = fsa1.neighbours(n, p["k"], kind, graph_seed)
    out = {name: given[name] for name in ["about", "n", *names]}
    out.update(p, session=session, root=root, graph_seed=graph_seed, members=[])
    out.update(committee_seed=committee_seed, committee=committee)
    out["first_cycle"] = fsa1.draw_order(n, graph_seed, 0)
    out["second_cycle"] = fsa1.draw_order(n, graph_seed, 1)
    for index in [0, 77, 219]:
        shown = {index, *joined[index], *committee}
        proof = fsa1.multiproof(leaves, shown)
        rest = list(proof)
        assert fsa1.root_from_proof(n, {i: leaves[i] for i in shown}, rest) == root and not rest
        one = {"index": index, "neighbours": joined[index], "multiproof": b"".join(proof)}
        out["members"].append(one)
    return out


def compare(where, made, given):
    """The number of values that agree; ends the program at the first that does not."""
    if isinstance(made, bytes):
        made = made.hex()
    if isinstance(made, dict) and isinstance(given, dict):
        if made.keys() != given.keys():
            sys.exit(f"{where}: not in both: {sorted(made.keys() ^ given.keys())}")
        return sum(compare(f"{where}.{key}", made[key], given[key]) for key in given)
    if isinstance(made, list) and isinstance(given, list) and len(made) == len(given):
        pairs = enumerate(zip(made, given, strict=True))
        return sum(compare(f"{where}[{i}]", a, b) for i, (a, b) in pairs)
    if made != given or type(made) is not type(given):
        sys.exit(f"{where}: the file has {given!r}, computed {made!r}")
    return 1


def main():
    for name in ["complete.json", "ring.json", "expander.json"]:
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            given = json.load(file)
        made = expander(given) if name == "expander.json" else Session(given).document()
        print(f"{name}: {compare(name, made, given)} values agree")


if __name__ == "__main__":
    main()
