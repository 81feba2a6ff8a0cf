#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/experimental/parallel_group.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "demur/base/result.h"

// Time limits for coroutines. A session header. Thread rule: only on a strand, since the two halves
// of the race share state.
namespace demur::net {

// Zero or less: no limit.
using Limit = std::chrono::milliseconds;
inline constexpr Limit kNoLimit{0};

// Runs `work`; when `limit` passes first, cancels it, waits until it has unwound, and answers
// kDeadlineExceeded. So what `work` refers to has to live only until this returns. When the caller
// itself is cancelled the answer is kUnavailable. Exceptions of `work` pass through.
template <class T>
asio::awaitable<Result<T>> WithDeadline(asio::awaitable<Result<T>> work, Limit limit) {
  if (limit <= kNoLimit) co_return co_await std::move(work);
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, limit);
  auto [order, failure, result, timer_error] =
      co_await asio::experimental::make_parallel_group(
          asio::co_spawn(executor, std::move(work), asio::experimental::deferred),
          timer.async_wait(asio::experimental::deferred))
          .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  if (order[0] == 0) {
    if (failure) std::rethrow_exception(failure);
    co_return std::move(result);
  }
  if (timer_error) co_return Error(ErrorCode::kUnavailable, "cancelled");
  co_return Error(ErrorCode::kDeadlineExceeded,
                  "not done within " + std::to_string(limit.count()) + " ms");
}

// Waits for `duration`. kUnavailable: cancelled. For retries and pauses of a session; a limit on
// work is WithDeadline's.
asio::awaitable<Status> Pause(Limit duration);

}  // namespace demur::net
