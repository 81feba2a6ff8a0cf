#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/check.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "demur/dp/ledger.h"
#include "demur/model/plan.h"
#include "demur/secagg/client.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/server.h"
#include "demur/seeded/seeded_random.h"

// A whole secure aggregation session in one process: the coordinator's step, every device's step
// and a queue between them, with scripted departures and a tap on every message. Nothing is real
// but the protocol: certificates are names in a table, deadlines fire when the queue is empty. For
// tests only.
namespace demur::testing {

struct SessionOptions {
  std::uint32_t devices = 20;
  std::uint32_t roster_min = 20;
  std::uint32_t dim = 37;
  std::uint32_t bits = 18;
  std::uint32_t corrupt_permille = 50;
  std::uint32_t dropout_permille = 300;
  std::uint32_t sigma = 40;
  std::uint32_t eta = 20;
  model::SecAggProfile profile = model::SecAggProfile::kSemiHonest;
  std::uint64_t seed = 1;
  std::uint32_t round = 1;
  model::SessionKind kind = model::SessionKind::kWhole;
};

// A device's last act: it answers everything before, and then says Leave, or nothing any more,
// instead of sending the message named.
struct Departure {
  wire::FrameType instead_of = wire::FrameType::kAdvertise;
  bool silent = false;
};

inline model::Plan SessionPlan(const SessionOptions& options) {
  model::Plan plan;
  plan.task.bytes.fill(std::byte{7});
  plan.round = {1, options.round};
  plan.model_hash.fill(std::byte{3});
  plan.training.algorithm = "item_statistics";
  plan.training.schema.tables = {{"item", options.dim, 1, 1.0}};
  plan.training.slice = model::Slice::Everything(plan.training.schema);
  plan.training.value_max = 1;
  plan.training.normaliser = 1;
  plan.encoding = {1.0, 16, options.bits, 0, 1U << 20, 1U << 20, options.dim};
  plan.privacy.participations_max = 10;
  plan.privacy.rounds_max = 10;
  plan.secagg = {options.profile,
                 options.roster_min,
                 std::max(options.devices, options.roster_min),
                 options.corrupt_permille,
                 options.dropout_permille,
                 options.sigma,
                 options.eta};
  plan.timeouts = {1000, 1000, 1000, 1000, 1000, 1000};
  if (options.kind == model::SessionKind::kRowCounts) {
    plan.training.algorithm = model::kRowCountsAlgorithm;
  }
  if (options.kind == model::SessionKind::kRows) plan.attempt = 1;
  // Both sessions of a sparse round are of one size here.
  if (options.kind != model::SessionKind::kWhole) {
    plan.session = {options.kind, plan.encoding, options.dim};
  }
  return plan;
}

// A permit as the coordinator's ledger mints it.
inline dp::RoundPermit MintPermit(const model::Plan& plan) {
  dp::Ledger::Policy policy{plan.task, false, {}};
  policy.budget.participations_max = plan.privacy.participations_max;
  policy.budget.rounds_max = plan.privacy.rounds_max;
  auto ledger = dp::Ledger::Create(policy);
  auto reservation =
      ledger->Reserve({{plan.round, plan.attempt}, plan.model_hash, std::nullopt, 1'000'000, 1});
  return std::move(reservation->permit);
}

// The values of a fixed pattern, one vector a device.
inline std::vector<std::uint32_t> SessionInput(std::uint32_t device, std::uint32_t dim,
                                               std::uint32_t bits) {
  std::vector<std::uint32_t> values(dim);
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
  for (std::uint32_t w = 0; w < dim; ++w) {
    values[w] = (device * 2654435761U + w * 40503U + 12345U) & mask;
  }
  return values;
}

class SecAggSession {
 public:
  struct Device {
    crypto::Ed25519KeyPair identity;
    Bytes certificate;
    std::optional<secagg::ClientConfig> config;
    std::optional<secagg::ClientState> state;
    std::vector<secagg::ClientEffect> effects;  // all so far
    std::optional<Departure> departure;
    bool gone = false;
  };
  struct Frame {
    bool to_server = false;
    std::uint32_t device = 0;
    wire::FrameType type = wire::FrameType::kAnnounce;
    Bytes bytes;
  };
  // Sees every frame before it is delivered and may change it; false: it is lost.
  using Tap = std::function<bool(Frame&)>;

  explicit SecAggSession(const SessionOptions& options)
      : SecAggSession(options, SessionPlan(options)) {}
  SecAggSession(const SessionOptions& options, const model::Plan& plan)
      : options_(options), plan_(plan), random_(options.seed) {
    server_key_ = MakeKey(secagg::kNoIndex);
    devices_.resize(options.devices);
    for (std::uint32_t i = 0; i < options.devices; ++i) {
      devices_[i].identity = MakeKey(i);
      devices_[i].certificate = ToBytes(AsBytes("certificate of " + std::to_string(i)));
      certified_->emplace(devices_[i].certificate, devices_[i].identity.public_key);
      device_of_.emplace(devices_[i].identity.public_key, i);
    }
  }

  // --- Set-up, before Start
  // -----------------------------------------------------------------------

  void Depart(std::uint32_t device, wire::FrameType instead_of, bool silent = false) {
    devices_[device].departure = Departure{instead_of, silent};
  }
  void SetTap(Tap tap) { tap_ = std::move(tap); }
  // Gives `device` another certificate, where somebody outside reads it.
  void Certify(std::uint32_t device, Bytes certificate) {
    certified_->emplace(certificate, devices_[device].identity.public_key);
    devices_[device].certificate = std::move(certificate);
  }
  // Delivers in an order drawn from `seed` instead of first in, first out. Frames of one device
  // keep their order, as on a connection.
  void ShuffleDelivery(std::uint64_t seed) { shuffle_ = seed; }

  // --- Running
  // ------------------------------------------------------------------------------------

  // Announces; M0 is in the queue.
  void Start() {
    std::vector<secagg::MemberId> invited;
    for (const Device& device : devices_) invited.push_back(device.identity.public_key);
    Hash256 nonce{};
    Fill(secagg::kNoIndex, 1, nonce);
    auto config = secagg::ServerConfig::Create(plan_, server_key_.Clone(), std::move(invited),
                                               nonce, Check());
    server_config_ = std::move(*config);
    Take(secagg::StartServer(*server_config_, MintPermit(plan_)));
  }
  // Start, then Deliver and deadlines until nothing moves.
  void Run() {
    Start();
    while (Settle() && FireDeadline()) {
    }
  }
  // Delivers until the queue is empty.
  bool Settle() {
    while (!queue_.empty()) DeliverOne();
    return true;
  }
  // Delivers frames until the coordinator's state is the named one; false: it never is.
  bool RunUntil(std::string_view state) {
    while (secagg::NameOf(*server_) != state) {
      if (queue_.empty()) return false;
      DeliverOne();
    }
    return true;
  }
  // Ends the current phase as its timer would. False: the coordinator waits for nobody.
  bool FireDeadline() {
    static const std::map<std::string_view, secagg::Phase> kPhases = {
        {"announced", secagg::Phase::kTraining}, {"advertising", secagg::Phase::kAdvertise},
        {"sharing", secagg::Phase::kShare},      {"masking", secagg::Phase::kMask},
        {"confirming", secagg::Phase::kConfirm}, {"unmasking", secagg::Phase::kUnmask}};
    const auto phase = kPhases.find(secagg::NameOf(*server_));
    if (phase == kPhases.end()) return false;
    ServerEvent(secagg::server::event::Deadline{phase->second});
    return true;
  }

  // One event for the coordinator; its frames go into the queue. True: it was refused.
  bool ServerEvent(secagg::ServerEvent event) {
    auto transition = secagg::Step(std::move(*server_), std::move(event), *server_config_);
    const bool refused = transition.refused;
    Take(std::move(transition));
    return refused;
  }
  // One event for a device; its frames go into the queue. True: it was refused.
  bool DeviceEvent(std::uint32_t index, secagg::ClientEvent event) {
    Device& device = devices_[index];
    auto transition = secagg::Step(std::move(*device.state), std::move(event), *device.config);
    device.state = std::move(transition.next);
    for (secagg::ClientEffect& effect : transition.effects) {
      if (const auto* send = std::get_if<secagg::client::effect::Send>(&effect)) {
        FromDevice(index, *send);
      }
      const bool needs_input = std::holds_alternative<secagg::client::effect::NeedInput>(effect);
      device.effects.push_back(std::move(effect));
      if (needs_input && feed_inputs_) {
        DeviceEvent(index, secagg::client::event::Input{InputOf(index)});
      }
    }
    return transition.refused;
  }

  // --- What came out
  // --------------------------------------------------------------------------------

  const std::optional<secagg::server::effect::SumReady>& sum_ready() const { return sum_ready_; }
  const std::optional<secagg::server::effect::Abandoned>& abandoned() const { return abandoned_; }
  const std::vector<secagg::server::effect::Evidence>& evidence() const { return evidence_; }
  // Everything the coordinator was sent, in order of arrival.
  const std::vector<Frame>& received() const { return received_; }
  // Everything it sent.
  const std::vector<Frame>& sent() const { return sent_; }
  // The sum of the inputs of the devices that sum_ready() says it is the sum of.
  std::vector<std::uint32_t> ExpectedSum() const {
    std::vector<std::uint32_t> sum(options_.dim);
    for (const secagg::MemberId& id : sum_ready_->survivors) {
      const auto input = InputOf(device_of_.at(id));
      for (std::size_t w = 0; w < sum.size(); ++w) sum[w] += input[w];
    }
    secagg::Reduce(sum, plan_.encoding.bits);
    return sum;
  }
  std::vector<std::uint32_t> Survivors() const {
    std::vector<std::uint32_t> out;
    for (const secagg::MemberId& id : sum_ready_->survivors) out.push_back(device_of_.at(id));
    std::sort(out.begin(), out.end());
    return out;
  }

  std::vector<std::uint32_t> InputOf(std::uint32_t device) const {
    return SessionInput(device, options_.dim, plan_.encoding.bits);
  }
  void FeedInputs(bool feed) { feed_inputs_ = feed; }

  Device& device(std::uint32_t index) { return devices_[index]; }
  std::uint32_t IndexOfDevice(const secagg::MemberId& id) const { return device_of_.at(id); }
  secagg::ServerState& server() { return *server_; }
  const secagg::ServerConfig& server_config() const { return *server_config_; }
  const crypto::Ed25519KeyPair& server_key() const { return server_key_; }
  std::deque<Frame>& queue() { return queue_; }
  const model::Plan& plan() const { return plan_; }

  secagg::CertificateCheck Check() const {
    return [table = certified_](ByteView certificate) -> Result<crypto::PublicKey> {
      const auto it = table->find(ToBytes(certificate));
      if (it == table->end()) return Error(ErrorCode::kPermissionDenied, "not certified");
      return it->second;
    };
  }
  void Fill(std::uint32_t device, std::uint32_t use, std::span<std::byte> out) {
    auto stream = Stream(use, device);
    DEMUR_CHECK((*stream)->Fill(out).has_value(), "the seeded stream does not fail");
  }
  secagg::ClientSecrets SecretsOf(std::uint32_t device) {
    auto stream = Stream(2, device);
    auto secrets = secagg::DrawClientSecrets(**stream);
    return std::move(*secrets);
  }
  // Opens M0 and makes the device ready to speak.
  void Prepare(std::uint32_t index, ByteView announce_frame) {
    Device& device = devices_[index];
    auto announcement = secagg::OpenAnnouncement(announce_frame, server_key_.public_key);
    if (!announcement) return;  // the device leaves such a round alone
    auto config = secagg::ClientConfig::Create(std::move(*announcement), device.identity.Clone(),
                                               device.certificate, server_key_.public_key, Check());
    device.config.emplace(std::move(*config));
    device.state.emplace(secagg::client::state::Idle{});
  }

 private:
  // Each session of a round has secrets of its own.
  Result<std::unique_ptr<RandomStream>> Stream(std::uint32_t use, std::uint32_t device) {
    return random_.Stream(
        {0, plan_.round.Packed(), 8 * plan_.attempt + use, device, Purpose::kKeys});
  }
  crypto::Ed25519KeyPair MakeKey(std::uint32_t device) {
    SecretArray<32> seed;
    auto stream = random_.Stream({0, 0, 3, device, Purpose::kKeys});
    DEMUR_CHECK((*stream)->Fill(seed.mutable_view()).has_value(),
                "the seeded stream does not fail");
    auto key = crypto::Ed25519FromSeed(seed);
    return std::move(*key);
  }

  void Take(secagg::ServerTransition transition) {
    server_ = std::move(transition.next);
    for (secagg::ServerEffect& effect : transition.effects) {
      std::visit([this](auto& e) { TakeEffect(e); }, effect);
    }
  }
  void TakeEffect(secagg::server::effect::Send& e) {
    Frame frame{false, device_of_.at(e.to), e.type, *e.frame};
    sent_.push_back(frame);
    queue_.push_back(std::move(frame));
  }
  void TakeEffect(secagg::server::effect::SendOwn& e) {
    const auto bytes = secagg::MakeOwnFrame(*server_, *server_config_, e.to, e.type);
    if (!bytes) return;
    Frame frame{false, device_of_.at(e.to), e.type, *bytes};
    sent_.push_back(frame);
    queue_.push_back(std::move(frame));
  }
  void TakeEffect(secagg::server::effect::SumReady& e) { sum_ready_ = std::move(e); }
  void TakeEffect(secagg::server::effect::Abandoned& e) { abandoned_ = std::move(e); }
  void TakeEffect(secagg::server::effect::Evidence& e) { evidence_.push_back(e); }
  void TakeEffect(secagg::server::effect::PersistSurvivors&) {}
  void TakeEffect(secagg::server::effect::StartTimer&) {}

  void FromDevice(std::uint32_t index, const secagg::client::effect::Send& send) {
    Device& device = devices_[index];
    if (device.gone) return;
    if (device.departure && device.departure->instead_of == send.type) {
      device.gone = true;
      if (!device.departure->silent) queue_.push_back({true, index, wire::FrameType::kLeave, {}});
      return;
    }
    queue_.push_back({true, index, send.type, *send.frame});
  }

  // Index into the queue of the next frame. Two frames of one device never overtake each other.
  std::size_t Choose() {
    if (!shuffle_) return 0;
    *shuffle_ = *shuffle_ * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::size_t wanted = static_cast<std::size_t>(*shuffle_ >> 33) % queue_.size();
    for (std::size_t i = 0; i < wanted; ++i) {
      if (queue_[i].device == queue_[wanted].device &&
          queue_[i].to_server == queue_[wanted].to_server) {
        return i;
      }
    }
    return wanted;
  }

  void DeliverOne() {
    const auto at = queue_.begin() + static_cast<std::ptrdiff_t>(Choose());
    Frame frame = std::move(*at);
    queue_.erase(at);
    if (tap_ && !tap_(frame)) return;
    Deliver(std::move(frame));
  }

  void Deliver(Frame frame) {
    Device& device = devices_[frame.device];
    if (frame.to_server) {
      const secagg::MemberId id = device.identity.public_key;
      if (frame.type == wire::FrameType::kLeave) {
        ServerEvent(secagg::server::event::Left{id});
        return;
      }
      received_.push_back(frame);
      ServerEvent(secagg::server::event::Message{id, frame.type, std::move(frame.bytes)});
      return;
    }
    if (device.gone) return;
    if (frame.type == wire::FrameType::kAnnounce) {
      Prepare(frame.device, frame.bytes);
      if (!device.state) return;
      DeviceEvent(frame.device, secagg::client::event::Start{SecretsOf(frame.device)});
      return;
    }
    if (!device.state) return;
    DeviceEvent(frame.device, secagg::client::event::Message{frame.type, std::move(frame.bytes)});
  }

  SessionOptions options_;
  model::Plan plan_;
  seeded::SeededRandom random_;
  crypto::Ed25519KeyPair server_key_;
  std::vector<Device> devices_;
  std::shared_ptr<std::map<Bytes, crypto::PublicKey>> certified_ =
      std::make_shared<std::map<Bytes, crypto::PublicKey>>();
  std::map<secagg::MemberId, std::uint32_t> device_of_;
  std::optional<secagg::ServerConfig> server_config_;
  std::optional<secagg::ServerState> server_;
  std::deque<Frame> queue_;
  Tap tap_;
  std::optional<std::uint64_t> shuffle_;
  bool feed_inputs_ = true;
  std::vector<Frame> received_;
  std::vector<Frame> sent_;
  std::optional<secagg::server::effect::SumReady> sum_ready_;
  std::optional<secagg::server::effect::Abandoned> abandoned_;
  std::vector<secagg::server::effect::Evidence> evidence_;
};

}  // namespace demur::testing
