#pragma once

#include <vector>

#include "demur/crypto/keys.h"
#include "demur/model/plan.h"
#include "demur/secagg/session.h"
#include "secagg_link.h"

// The coordinator of a measured session: its step, and a loop that feeds it. Runs in a process of
// its own so that what it needs at its peak is not the devices'. Private to simulations.
namespace demur::sim {

struct CoordinatorSetup {
  model::Plan plan;
  crypto::Ed25519KeyPair signing_key;
  std::vector<crypto::PublicKey> devices;  // identity keys by device number
  Hash256 nonce{};
  secagg::CertificateCheck check_certificate;
};

// Serves until the devices' side closes. Call it first thing in the forked child: the peak that it
// reports is the growth from here on. Errors are told to the other side (kFailed).
Status ServeSecAggSession(CoordinatorSetup setup, Link link);

}  // namespace demur::sim
