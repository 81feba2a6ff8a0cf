@0xd86a40e9f1735cb2;

# The plan of one round: data, never code (docs/protocol.md, M0). Field numbers are never reused.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("demur::wire::schema");

struct HyperParameter {
  name  @0 :Text;
  value @1 :Float64;
}

struct Table {
  name   @0 :Text;
  rows   @1 :UInt32;
  cols   @2 :UInt32;
  weight @3 :Float64;
  all    @4 :Bool;             # the slice takes every row
  slice  @5 :List(UInt32);     # rows of the slice, ascending; empty when `all`
}

struct Training {
  algorithm  @0 :Text;
  hyper      @1 :List(HyperParameter);
  tables     @2 :List(Table);
  valueMax   @3 :Float64;
  normaliser @4 :Float64;
}

struct Encoding {
  clipNorm      @0 :Float64;
  scale         @1 :UInt32;
  bits          @2 :UInt32;
  noiseVariance @3 :UInt64;
  l2SqMax       @4 :UInt64;
  l1Max         @5 :UInt64;
  rowsMax       @6 :UInt32;
}

struct Privacy {
  noise             @0 :Bool;
  weakPrivacy       @1 :Bool;
  epsilon           @2 :Float64;
  delta             @3 :Float64;
  participationsMax @4 :UInt32;
  roundsMax         @5 :UInt32;
}

struct SecAgg {
  profile         @0 :UInt8;
  rosterMin       @1 :UInt32;
  rosterMax       @2 :UInt32;
  corruptPermille @3 :UInt32;
  dropoutPermille @4 :UInt32;
  sigma           @5 :UInt32;
  eta             @6 :UInt32;
}

struct Timeouts {              # milliseconds
  training  @0 :UInt32;
  advertise @1 :UInt32;
  share     @2 :UInt32;
  mask      @3 :UInt32;
  unmask    @4 :UInt32;
  confirm   @5 :UInt32;
}

struct Cohort {                # all zero: whom the coordinator invites
  rate      @0 :UInt32;        # units of 2^-32
  statement @1 :Data;          # signed by the authority
}

struct Session {               # all zero: the only session of its round
  kind     @0 :UInt8;          # 2: row counts, 3: rows
  other    @1 :Encoding;       # of the round's other session
  otherDim @2 :UInt32;         # coordinates of it, at most
}

struct Plan {
  version       @0 :UInt16;
  task          @1 :Data;      # 16 bytes
  round         @2 :UInt64;    # epoch << 32 | counter
  attempt       @3 :UInt32;    # 1 in the second session of a sparse round
  modelHash     @4 :Data;      # 32 bytes
  modelVersion  @5 :UInt64;
  expiresUnixMs @6 :Int64;
  training      @7 :Training;
  encoding      @8 :Encoding;
  privacy       @9 :Privacy;
  secagg        @10 :SecAgg;
  timeouts      @11 :Timeouts;
  cohort        @12 :Cohort;
  session       @13 :Session;
}
