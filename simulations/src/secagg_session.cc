#include "demur/simulations/secagg_session.h"

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "demur/base/clock.h"
#include "demur/crypto/certificate.h"
#include "demur/secagg/client.h"
#include "demur/secagg/packing.h"
#include "demur/seeded/seeded_random.h"
#include "dice.h"
#include "secagg_coordinator.h"
#include "secagg_link.h"
#include "secagg_plan.h"

namespace demur::sim {
namespace {

namespace effect = secagg::client::effect;
namespace event = secagg::client::event;
using wire::FrameType;

constexpr std::int64_t kNow =
    1'750'000'000;  // Unix seconds; certificates are good for a day around
constexpr crypto::Validity kValidity{kNow - 43'200, kNow + 43'200};

// What the streams of a session are for; StreamId::round keeps them apart.
enum class Use : std::uint64_t { kIdentity = 1, kSecrets = 2, kInput = 3, kDeparture = 4 };

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

Result<std::unique_ptr<RandomStream>> StreamOf(RandomSource& random, Use use, std::uint64_t who) {
  StreamId id;
  id.round = static_cast<std::uint64_t>(use);
  id.client = who;
  return random.Stream(id);
}

Result<crypto::Ed25519KeyPair> IdentityOf(RandomSource& random, std::uint64_t who) {
  DEMUR_TRY(const auto stream, StreamOf(random, Use::kIdentity, who));
  DEMUR_TRY(const auto seed, crypto::RandomKey(*stream));
  return crypto::Ed25519FromSeed(seed);
}

// A device's vector: uniform over all, drawn again whenever it is needed.
Result<std::vector<std::uint32_t>> InputOf(const SecAggOptions& options, RandomSource& random,
                                           std::uint32_t number) {
  std::vector<std::uint32_t> values(options.dim);
  DEMUR_TRY(const auto stream, StreamOf(random, Use::kInput, number));
  DEMUR_RETURN_IF_ERROR(stream->Fill(std::as_writable_bytes(std::span(values))));
  secagg::Reduce(values, options.bits);
  return values;
}

// The identity authority, in memory.
class Authority {
 public:
  static Result<Authority> Create(RandomSource& random) {
    Authority authority;
    DEMUR_TRY(authority.key_, IdentityOf(random, kNoClient));
    DEMUR_TRY(authority.certificate_,
              crypto::IssueAuthority(authority.key_, "demur-sim", kValidity, SerialOf(0)));
    return authority;
  }
  const Bytes& certificate() const noexcept { return certificate_; }
  Result<Bytes> Certify(const crypto::PublicKey& device_key, std::uint32_t number) const {
    return crypto::IssueDevice(key_, certificate_, device_key, DeviceNumber(number + 1), kValidity,
                               SerialOf(number + 1));
  }

 private:
  static crypto::Serial SerialOf(std::uint32_t number) {
    crypto::Serial serial{};
    std::memcpy(serial.data() + 4, &number, sizeof number);
    return serial;
  }
  crypto::Ed25519KeyPair key_;
  Bytes certificate_;
};

// As a device and a coordinator without revocations check a certificate. The time that it takes is
// added to `spent` (borrowed), where there is one.
secagg::CertificateCheck CheckOf(ByteView authority, std::chrono::nanoseconds* spent) {
  return [verifier = crypto::CertificateVerifier::Create(authority),
          spent](ByteView der) -> Result<crypto::PublicKey> {
    if (!verifier) return verifier.error();
    const auto before = ThreadCpuTime();
    const auto certificate = verifier->Verify(der, kNow, crypto::CertificateKind::kDevice);
    if (spent != nullptr) *spent += ThreadCpuTime() - before;
    if (!certificate) return certificate.error();
    return certificate->public_key;
  };
}

struct Departure {
  FrameType from =
      FrameType::kUnmask;  // leaves in place of the first message of this or a later type
  bool silent = false;     // says nothing, so that a timer has to notice
};

struct Device {
  crypto::Ed25519KeyPair identity;
  Bytes certificate;
  std::optional<secagg::ClientConfig> config;
  std::optional<secagg::ClientState> state;
  std::optional<Departure> departure;
  bool gone = false;
  std::chrono::nanoseconds cpu{};
  std::chrono::nanoseconds certificate_cpu{};
  std::uint64_t upload = 0;    // bytes
  std::uint64_t download = 0;  // bytes
  std::uint32_t sends = 0;
};

// Value below which a share `rank` of the values lies, by the nearest rank. 0 for none.
template <class T>
T Quantile(std::vector<T> values, double rank) {
  if (values.empty()) return T{};
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(std::ceil(rank * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(at, 1) - 1];
}

Result<std::vector<std::uint32_t>> ReadWords(ByteView body) {
  if (body.size() % sizeof(std::uint32_t) != 0) {
    return Error(ErrorCode::kInternal, "a report of the coordinator is cut");
  }
  std::vector<std::uint32_t> words(body.size() / sizeof(std::uint32_t));
  if (!body.empty()) std::memcpy(words.data(), body.data(), body.size());
  return words;
}

// The devices' side: every device's step, and a queue of what the coordinator sent them.
class Devices {
 public:
  Devices(const SecAggOptions& options, RandomSource& random,
          std::vector<crypto::Ed25519KeyPair> identities, crypto::PublicKey server_key)
      : options_(options), random_(random), server_key_(server_key), devices_(identities.size()) {
    for (std::size_t i = 0; i < identities.size(); ++i) {
      devices_[i].identity = std::move(identities[i]);
    }
  }

  Status Prepare(const Authority& authority) {
    authority_ = authority.certificate();
    for (std::uint32_t i = 0; i < devices_.size(); ++i) {
      DEMUR_TRY(devices_[i].certificate, authority.Certify(devices_[i].identity.public_key, i));
    }
    return ChooseDepartures();
  }

  // Until the coordinator has reported and everything that it sent has been read.
  Status Run(Link& link) {
    DEMUR_RETURN_IF_ERROR(ReadUntilIdle(link));
    while (!queue_.empty() || !report_) {
      if (queue_.empty()) {
        DEMUR_RETURN_IF_ERROR(link.Send(PacketKind::kDeadline));
        DEMUR_RETURN_IF_ERROR(ReadUntilIdle(link));
        continue;
      }
      Packet packet = std::move(queue_.front());
      queue_.pop_front();
      DEMUR_RETURN_IF_ERROR(Deliver(std::move(packet), link));
    }
    return {};
  }

  Result<SecAggFigures> Figures(const SecAggParameters& parameters) const;

 private:
  Status ChooseDepartures();
  Status ReadUntilIdle(Link& link);
  Status Deliver(Packet packet, Link& link);
  Result<secagg::ClientTransition> Begin(std::uint32_t number, ByteView announce_frame);
  Status Take(std::uint32_t number, secagg::ClientTransition transition, Link& link);
  Status Send(std::uint32_t number, const effect::Send& send, Link& link);

  const SecAggOptions& options_;
  RandomSource& random_;
  crypto::PublicKey server_key_;
  Bytes authority_;
  std::vector<Device> devices_;
  std::deque<Packet> queue_;
  std::vector<std::uint32_t> sum_;
  std::vector<std::uint32_t> survivors_;
  std::optional<Json> report_;
};

Status Devices::ChooseDepartures() {
  DEMUR_TRY(auto stream, StreamOf(random_, Use::kDeparture, kNoClient));
  Dice dice(std::move(stream));
  const auto n = static_cast<std::uint32_t>(devices_.size());
  std::vector<std::uint32_t> order(n);
  for (std::uint32_t i = 0; i < n; ++i) order[i] = i;
  // Who is asked for no M7 leaves at M9 instead.
  static constexpr std::array kMoments = {FrameType::kShares, FrameType::kMasked,
                                          FrameType::kConfirm, FrameType::kUnmask};
  for (std::uint32_t i = 0; i < options_.Leaving(); ++i) {
    std::swap(order[i], order[i + dice.Below(n - i)]);
    Departure departure;
    switch (options_.leave_at) {
      case LeaveAt::kAny:
        departure.from = kMoments[dice.Below(kMoments.size())];
        break;
      case LeaveAt::kShares:
        departure.from = FrameType::kShares;
        break;
      case LeaveAt::kMasked:
        departure.from = FrameType::kMasked;
        break;
      case LeaveAt::kUnmask:
        departure.from = FrameType::kUnmask;
        break;
    }
    departure.silent = dice.Below(2) == 1;
    devices_[order[i]].departure = departure;
  }
  return dice.status();
}

Status Devices::ReadUntilIdle(Link& link) {
  for (;;) {
    DEMUR_TRY(auto packet, link.Receive());
    if (!packet) return Error(ErrorCode::kInternal, "the coordinator's process ended early");
    switch (packet->kind) {
      case PacketKind::kIdle:
        return {};
      case PacketKind::kFrame:
        queue_.push_back(std::move(*packet));
        break;
      case PacketKind::kSum: {
        DEMUR_TRY(sum_, ReadWords(packet->body));
        break;
      }
      case PacketKind::kSurvivors: {
        DEMUR_TRY(survivors_, ReadWords(packet->body));
        break;
      }
      case PacketKind::kReport: {
        DEMUR_TRY(report_, Json::Parse(AsText(packet->body)));
        break;
      }
      case PacketKind::kFailed:
        return Error(ErrorCode::kInternal,
                     "the coordinator's process: " + std::string(AsText(packet->body)));
      case PacketKind::kDeadline:
        return Error(ErrorCode::kInternal, "a packet that the coordinator does not send");
    }
  }
}

Status Devices::Deliver(Packet packet, Link& link) {
  Device& device = devices_[packet.device];
  if (device.gone) return {};
  device.download += wire::kFrameHeaderLen + packet.body.size();
  const auto before = ThreadCpuTime();
  if (packet.type == FrameType::kAnnounce) {
    auto begun = Begin(packet.device, packet.body);
    device.cpu += ThreadCpuTime() - before;
    if (!begun) return std::move(begun).error().WithContext("a device leaves the round alone");
    return Take(packet.device, *std::move(begun), link);
  }
  auto transition =
      secagg::Step(std::move(*device.state), event::Message{packet.type, std::move(packet.body)},
                   *device.config);
  device.cpu += ThreadCpuTime() - before;
  return Take(packet.device, std::move(transition), link);
}

// What a device does with M0 once it has trained.
Result<secagg::ClientTransition> Devices::Begin(std::uint32_t number, ByteView announce_frame) {
  Device& device = devices_[number];
  DEMUR_TRY(auto announcement, secagg::OpenAnnouncement(announce_frame, server_key_));
  DEMUR_TRY(auto config, secagg::ClientConfig::Create(
                             std::move(announcement), device.identity.Clone(), device.certificate,
                             server_key_, CheckOf(authority_, &device.certificate_cpu)));
  device.config.emplace(std::move(config));
  DEMUR_TRY(const auto stream, StreamOf(random_, Use::kSecrets, number));
  DEMUR_TRY(auto secrets, secagg::DrawClientSecrets(*stream));
  return secagg::Step(secagg::client::state::Idle{}, event::Start{std::move(secrets)},
                      *device.config);
}

Status Devices::Take(std::uint32_t number, secagg::ClientTransition transition, Link& link) {
  Device& device = devices_[number];
  device.state = std::move(transition.next);
  for (const secagg::ClientEffect& one : transition.effects) {
    if (const auto* send = std::get_if<effect::Send>(&one)) {
      DEMUR_RETURN_IF_ERROR(Send(number, *send, link));
    } else if (std::holds_alternative<effect::NeedInput>(one)) {
      DEMUR_TRY(auto input, InputOf(options_, random_, number));
      const auto before = ThreadCpuTime();
      auto masked =
          secagg::Step(std::move(*device.state), event::Input{std::move(input)}, *device.config);
      device.cpu += ThreadCpuTime() - before;
      return Take(number, std::move(masked), link);
    } else if (const auto* failed = std::get_if<effect::Failed>(&one)) {
      return Error(ErrorCode::kInternal,
                   "a device gave up: " + std::string(secagg::ToString(failed->reason)));
    }
  }
  return {};
}

Status Devices::Send(std::uint32_t number, const effect::Send& send, Link& link) {
  Device& device = devices_[number];
  FrameType type = send.type;
  ByteView body = *send.frame;
  if (device.departure && type >= device.departure->from) {
    device.gone = true;
    device.state.reset();
    if (device.departure->silent) return {};
    type = FrameType::kLeave;
    body = {};
  } else {
    device.upload += wire::kFrameHeaderLen + body.size();
    ++device.sends;
  }
  DEMUR_RETURN_IF_ERROR(link.Send(PacketKind::kFrame, number, type, body));
  return ReadUntilIdle(link);
}

Result<double> NumberOf(const Json& report, std::string_view key) {
  const Json* value = report.Find(key);
  if (value == nullptr) return Error(ErrorCode::kInternal, "a report without a figure");
  return value->Number();
}

Result<SecAggFigures> Devices::Figures(const SecAggParameters& parameters) const {
  SecAggFigures out;
  out.parameters = parameters;
  std::vector<double> cpu, certificates;
  std::vector<std::uint64_t> upload, download;
  for (const Device& device : devices_) {
    out.rounds = std::max(out.rounds, device.sends);
    if (device.gone) {
      ++out.left;
      continue;
    }
    cpu.push_back(Milliseconds(device.cpu));
    certificates.push_back(Milliseconds(device.certificate_cpu));
    upload.push_back(device.upload);
    download.push_back(device.download);
  }
  out.client_cpu_ms = {Quantile(cpu, 0.5), Quantile(cpu, 0.95)};
  out.client_certificate_ms = Quantile(certificates, 0.5);
  out.client_upload_bytes = Quantile(upload, 0.5);
  out.client_download_bytes = Quantile(download, 0.5);
  const Json& report = *report_;
  const Json* ok = report.Find("ok");
  out.ok = ok != nullptr && ok->boolean() != nullptr && *ok->boolean();
  if (const Json* abort = report.Find("abort"); abort != nullptr && abort->text() != nullptr) {
    out.abort = *abort->text();
  }
  DEMUR_TRY(out.server_ingest_s, NumberOf(report, "ingest_s"));
  DEMUR_TRY(out.server_unmask_s, NumberOf(report, "unmask_s"));
  DEMUR_TRY(const double peak, NumberOf(report, "peak_bytes"));
  out.server_peak_bytes = static_cast<std::uint64_t>(peak);
  DEMUR_TRY(const double faults, NumberOf(report, "faults"));
  out.faults = static_cast<std::uint32_t>(faults);
  if (const Json* phases = report.Find("cpu_s"); phases != nullptr && phases->object() != nullptr) {
    for (const auto& [name, seconds] : *phases->object()) {
      DEMUR_TRY(out.server_cpu_s[name], seconds.Number());
    }
  }
  if (!out.ok) return out;
  out.survivors = static_cast<std::uint32_t>(survivors_.size());
  DEMUR_TRY(out.exact, IsSumOf(options_, survivors_, sum_));
  return out;
}

// The process with the coordinator in it.
class Child {
 public:
  explicit Child(pid_t pid) noexcept : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t pid_;
};

Result<CoordinatorSetup> SetUpCoordinator(const SecAggOptions& options, RandomSource& random,
                                          const std::vector<crypto::Ed25519KeyPair>& identities,
                                          const Authority& authority) {
  CoordinatorSetup setup;
  DEMUR_TRY(setup.plan, SecAggSessionPlan(options));
  DEMUR_TRY(setup.signing_key, IdentityOf(random, options.clients));
  for (const auto& identity : identities) setup.devices.push_back(identity.public_key);
  DEMUR_TRY(const auto stream, StreamOf(random, Use::kSecrets, kNoClient));
  DEMUR_RETURN_IF_ERROR(stream->Fill(setup.nonce));
  setup.check_certificate = CheckOf(authority.certificate(), nullptr);
  return setup;
}

}  // namespace

Result<bool> IsSumOf(const SecAggOptions& options, std::span<const std::uint32_t> devices,
                     std::span<const std::uint32_t> sum) {
  seeded::SeededRandom random(options.seed);
  std::vector<std::uint32_t> expected(options.dim);
  for (const std::uint32_t number : devices) {
    DEMUR_TRY(const auto input, InputOf(options, random, number));
    for (std::size_t w = 0; w < expected.size(); ++w) expected[w] += input[w];
  }
  secagg::Reduce(expected, options.bits);
  return std::equal(expected.begin(), expected.end(), sum.begin(), sum.end());
}

Result<SecAggFigures> RunSecAggSession(const SecAggOptions& options) {
  DEMUR_TRY(const SecAggParameters parameters,
            FindSecAggParameters(options.clients, options.corrupt_permille,
                                 options.dropout_permille, options.profile));
  seeded::SeededRandom random(options.seed);
  DEMUR_TRY(const Authority authority, Authority::Create(random));
  std::vector<crypto::Ed25519KeyPair> identities;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    DEMUR_TRY(auto identity, IdentityOf(random, i));
    identities.push_back(std::move(identity));
  }
  DEMUR_TRY(auto setup, SetUpCoordinator(options, random, identities, authority));
  const crypto::PublicKey server_key = setup.signing_key.public_key;
  DEMUR_TRY(auto ends, Link::Create());
  // Forked before a device has anything. What an earlier session left free in the heap goes back to
  // the system first: the child would use it without growing.
  ::malloc_trim(0);
  const pid_t pid = ::fork();
  if (pid < 0) return Error(ErrorCode::kResourceExhausted, "no process for the coordinator");
  if (pid == 0) {
    ends.devices.Close();
    // _exit: nothing of the parent is flushed or torn down twice.
    ::_exit(ServeSecAggSession(std::move(setup), std::move(ends.coordinator)) ? 0 : 1);
  }
  const Child child(pid);
  Link link(std::move(ends.devices));  // closes before the child is waited for
  ends.coordinator.Close();
  Devices devices(options, random, std::move(identities), server_key);
  DEMUR_RETURN_IF_ERROR(devices.Prepare(authority));
  DEMUR_RETURN_IF_ERROR(devices.Run(link));
  return devices.Figures(parameters);
}

}  // namespace demur::sim
