#pragma once

#include <map>
#include <utility>

#include "../support/secagg_session.h"

// One recorded session of each profile, so that a fuzz target can put a role into any state of it.
namespace demur::secagg {

class FuzzWorld {
 public:
  // For as long as the process lives.
  static FuzzWorld& Of(bool malicious) {
    static FuzzWorld& semi_honest = *new FuzzWorld(testing::SessionOptions{});
    static FuzzWorld& hardened = *[] {
      testing::SessionOptions options;
      options.profile = model::SecAggProfile::kMalicious;
      options.sigma = 80;
      return new FuzzWorld(options);
    }();
    return malicious ? hardened : semi_honest;
  }

  explicit FuzzWorld(const testing::SessionOptions& options) : session_(options) {
    session_.Start();
    session_.Settle();
    session_.ServerEvent(server::event::Finish{});
    for (const auto& frame : session_.sent()) to_device_[{frame.device, frame.type}] = frame.bytes;
    for (const auto& frame : session_.received()) {
      from_device_[{frame.device, frame.type}] = frame.bytes;
    }
    const auto masked = wire::DecodeSignedBody(FromDevice(0, wire::FrameType::kMasked), 1U << 20);
    session_id_ = wire::DecodeMasked(masked->body, announcement().limits())->session;
    const auto roster = wire::DecodeSignedBody(ToDevice(0, wire::FrameType::kRoster), 1U << 20);
    index_ = wire::DecodeRoster(roster->body, announcement().limits())->my_index;
  }

  testing::SecAggSession& session() { return session_; }
  const Announcement& announcement() const { return session_.server_config().announcement(); }
  const Hash256& session_id() const { return session_id_; }
  std::uint32_t index() const { return index_; }  // of device 0
  const Bytes& ToDevice(std::uint32_t device, wire::FrameType type) const {
    return to_device_.at({device, type});
  }
  const Bytes& FromDevice(std::uint32_t device, wire::FrameType type) const {
    return from_device_.at({device, type});
  }

 private:
  testing::SecAggSession session_;
  Hash256 session_id_{};
  std::uint32_t index_ = 0;
  std::map<std::pair<std::uint32_t, wire::FrameType>, Bytes> to_device_;
  std::map<std::pair<std::uint32_t, wire::FrameType>, Bytes> from_device_;
};

}  // namespace demur::secagg
