@0xa94d17e6b8c3502f;

# Secure aggregation FSA-1, M0 to M10 (docs/protocol.md). Each is the body of a SignedBody. Data
# fields have the length that stands beside them. Field numbers are never reused.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("demur::wire::schema");

struct Announce {              # M0
  plan            @0 :Data;    # an encoded Plan
  nonceCommitment @1 :Data;    # 32, SHA-256 of the server nonce
}

struct Advertise {             # M1
  announce       @0 :Data;     # 32, SHA-256 of the M0 body
  identityKey    @1 :Data;     # 32, Ed25519
  certificate    @2 :Data;     # 1 to 2048, DER
  channelKey     @3 :Data;     # 32, X25519
  maskKey        @4 :Data;     # 32, X25519
  nonce          @5 :Data;     # 32
  selfCommitment @6 :Data;     # 32
}

struct RosterNeighbour {
  index     @0 :UInt32;
  advertise @1 :Data;          # the member's M1 body
  signature @2 :Data;          # 64
}

struct CommitteeMember {
  index       @0 :UInt32;
  identityKey @1 :Data;        # 32
  rest        @2 :Data;        # 32
}

struct Roster {                # M2
  serverNonce @0 :Data;        # 32
  size        @1 :UInt32;
  root        @2 :Data;        # 32
  myIndex     @3 :UInt32;
  neighbours  @4 :List(RosterNeighbour);  # ascending
  committee   @5 :List(CommitteeMember);  # ascending, those not above; malicious profile
  multiproof  @6 :Data;        # 32 a node; malicious profile
}

# Items of M3, M4 and M9 are records of one length, end to end: pointers and padding would cost as
# much as half of them. Integers in them are big-endian.

struct Shares {                # M3
  session @0 :Data;            # 32
  items   @1 :Data;            # ascending; 132 a neighbour: index u32 (the holder), sealed[96],
                               # maskShareHash[16], selfShareHash[16]
}

struct Inbox {                 # M4
  session @0 :Data;            # 32
  shared  @1 :Data;            # U2, one bit a member
  items   @2 :Data;            # as in M3; index is the dealer
}

struct Masked {                # M5
  session    @0 :Data;         # 32
  sharedHash @1 :Data;         # 32, SHA-256 of U2
  dim        @2 :UInt32;
  bits       @3 :UInt8;
  packed     @4 :Data;         # ceil(dim * bits / 8)
}

struct ConfirmRequest {        # M6
  session   @0 :Data;          # 32
  survivors @1 :Data;          # U3, one bit a member
}

struct Confirm {               # M7, malicious profile
  session             @0 :Data;  # 32
  transcriptSignature @1 :Data;  # 64
}

struct Confirmation {
  index               @0 :UInt32;
  certificate         @1 :Data;  # 1 to 2048, DER
  transcriptSignature @2 :Data;  # 64
}

struct UnmaskRequest {         # M8, malicious profile
  session       @0 :Data;      # 32
  confirmations @1 :List(Confirmation);  # ascending
}

struct Unmask {                # M9
  session @0 :Data;            # 32
  shares  @1 :Data;            # ascending; 45 a share: index u32 (the dealer), kind u8 (1 mask
                               # seed, 2 self seed), share[40]
}

struct Close {                 # M10
  announce   @0 :Data;         # 32
  status     @1 :UInt8;        # 1 committed, 2 abandoned, 3 excluded
  resultHash @2 :Data;         # 32
}
