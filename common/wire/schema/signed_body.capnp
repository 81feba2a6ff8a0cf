@0xe3b0f6a1c27d4985;

# A message and a signature over its exact bytes (docs/protocol.md).
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("demur::wire::schema");

struct SignedBody {
  body      @0 :Data;
  signature @1 :Data;  # 64 bytes, Ed25519
}
