@0xb7c91d52e04f83a6;

# The messages around a round (docs/protocol.md). Field numbers are never reused.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("demur::wire::schema");

struct Hello {
  protocolVersion @0 :UInt16;
  clientVersion   @1 :Text;    # at most 64 bytes
  task            @2 :Data;    # 16 bytes, or empty: rounds of any task
}

struct Welcome {
  serverName   @0 :Text;       # at most 128 bytes
  retryAfterMs @1 :UInt32;
  runningRound @2 :UInt64;     # RoundId, packed: the round that this device is in; 0: none
  runningAttempt @3 :UInt32;
  runningTask  @4 :Data;       # 16 bytes where there is a round
}

struct Refusal {
  code         @0 :UInt8;      # ErrorCode
  text         @1 :Text;       # at most 256 bytes
  retryAfterMs @2 :UInt32;
}

struct FetchModel {
  task      @0 :Data;          # 16 bytes
  modelHash @1 :Data;          # 32 bytes, SHA-256
}

struct ModelBlob {
  task      @0 :Data;
  modelHash @1 :Data;
  blob      @2 :Data;          # the model's canonical bytes
}

struct Leave {
  task    @0 :Data;            # 16 bytes
  round   @1 :UInt64;          # epoch << 32 | counter
  attempt @2 :UInt32;
  scope   @3 :UInt8;           # 0: this round; 1: the task, as long as the connection lasts
}

struct Enrol {
  secret    @0 :Data;          # 32 bytes, one-time
  publicKey @1 :Data;          # 32 bytes, Ed25519
  signature @2 :Data;          # 64 bytes
}

struct EnrolReply {
  device      @0 :UInt64;
  certificate @1 :Data;        # X.509, DER
}
