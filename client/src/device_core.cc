#include "device_core.h"

#include <asio/strand.hpp>
#include <utility>

#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/crypto/certificate.h"

namespace demur::client {
namespace {

// Beyond a deadline of the plan: the coordinator's own work, and the way there and back.
constexpr std::uint64_t kGraceMs = 30'000;

}  // namespace

DeviceCore::DeviceCore(DeviceOptions device_options, const DeviceTools& device_tools)
    : options(std::move(device_options)),
      tools(device_tools),
      strand(asio::make_strand(device_tools.io)),
      keys(options.keys ? options.keys : std::make_shared<FileKeyProvider>(options.folder)),
      stop_timer(strand, asio::steady_timer::time_point::max()) {}

Status DeviceCore::OpenStore() {
  DEMUR_RETURN_IF_ERROR(MakeFolder(options.folder));
  EventStoreOptions store_options;
  store_options.folder = options.folder;
  DEMUR_TRY(store, EventStore::Open(std::move(store_options), *keys, tools.random));
  auto found = store->LoadIdentity();
  if (found) {
    Remember(std::move(*found));
  } else if (found.error().code() != ErrorCode::kNotFound) {
    return std::move(found).error();
  }
  return {};
}

void DeviceCore::Remember(Identity own) {
  const auto certificate = crypto::ParseCertificate(own.certificate);
  expires_unix_ms = certificate ? certificate->validity.not_after * 1000 : 0;
  number = own.device.value;
  identity = std::move(own);
}

void DeviceCore::Forget() {
  number = 0;
  expires_unix_ms = 0;
  identity.reset();
  preparing.reset();
  newest = {};
}

Result<OwnData> DeviceCore::ReadOwn(const TaskId& task) const {
  OwnData own;
  DEMUR_TRY(own.events, store->Events());
  DEMUR_TRY(own.state, store->LoadState(task));
  own.signals = options.signals;
  own.held_out = options.held_out;
  own.device = DeviceNumber(number);
  return own;
}

void DeviceCore::OpenSession(std::shared_ptr<RoundSession> opened) {
  session = std::move(opened);
  preparing.reset();
  counted_ = false;
  wait_ms_ = 0;
}

void DeviceCore::NoteProgress() {
  if (!session) return;
  const std::uint64_t wait = session->WaitMs();
  wait_ms_ = wait == 0 ? 0 : wait + kGraceMs;
  wait_since_ = tools.clock.Monotonic();
  // Two sessions are one round: the one that trains counts.
  if (!session->joined() || counted_ || session->counts_rows()) return;
  counted_ = true;
  Count([](DeviceCounts& c) { ++c.rounds_joined; });
}

std::optional<net::Limit> DeviceCore::SessionPatience() const {
  if (!session || wait_ms_ == 0) return std::nullopt;
  const auto waited = std::chrono::duration_cast<net::Limit>(tools.clock.Monotonic() - wait_since_);
  return net::Limit(static_cast<std::int64_t>(wait_ms_)) - waited;
}

void DeviceCore::EndSession(std::string_view why) {
  if (!session) return;
  const auto ended = std::move(session);
  session = nullptr;
  const std::string_view state = ended->state_name();
  if (!ended->end()) {
    ended->Compute(secagg::client::event::Stop{});
    // Nothing is saved and nothing is sent by a stop.
    static_cast<void>(ended->Settle(*this));
  }
  const SessionEnd end = ended->end().value_or(SessionEnd::kStopped);
  Count([end, joined = counted_, whole = !ended->counts_rows()](DeviceCounts& c) {
    if (end == SessionEnd::kCommitted) {
      c.rounds_committed += whole ? 1 : 0;
    } else if (joined) {
      ++c.rounds_lost;
    }
    if (end == SessionEnd::kLeft && whole) ++c.left_on_purpose;
  });
  const model::Plan& plan = ended->announcement().plan;
  const bool broken = end == SessionEnd::kFailed;
  log::Write(broken ? log::Level::kWarning : log::Level::kDebug, "round_ended",
             {{"device", number.load()},
              {"round", plan.round},
              {"end", ToString(end)},
              {"state", state},
              {"why", why}});
}

void DeviceCore::CountRefusal(const Error& error) {
  Count([&error](DeviceCounts& c) {
    ++c.plans_refused;
    c.last_refusal = error.message();
  });
}

}  // namespace demur::client
