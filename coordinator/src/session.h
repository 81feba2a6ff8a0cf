#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <memory>

#include "connection.h"
#include "demur/base/ids.h"
#include "demur/net/deadline.h"
#include "engine.h"

// The coordinator's end of one device's connection. Private to the coordinator.
namespace demur::coordinator {

struct SessionOptions {
  TaskId task;
  std::uint32_t max_body_len = 0;  // of any frame that a device may send
  net::Limit hello_limit{0};
  net::Limit send_limit{0};
};

// Admits the device (certificate, revocation, Hello), then passes frames between its connection
// and the engine until either side closes. Runs on the stream's strand.
asio::awaitable<void> ServeDevice(std::shared_ptr<Gate> gate, Engine& engine,
                                  SessionOptions options, std::unique_ptr<net::FrameStream> stream);

}  // namespace demur::coordinator
