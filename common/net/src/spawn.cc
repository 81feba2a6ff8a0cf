#include "demur/net/spawn.h"

#include <asio/error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_error.hpp>
#include <asio/this_coro.hpp>

#include "await.h"
#include "demur/base/log.h"
#include "demur/net/deadline.h"

namespace demur::net {

// One of the few catch-alls: a coroutine that nobody awaits has no other way to be heard.
void LogUnexpected::operator()(std::exception_ptr failure) const noexcept {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const asio::system_error& error) {
    if (error.code() == asio::error::operation_aborted) return;
    log::Failure("unexpected_exception", {{"where", where_}, {"what", error.code().message()}});
  } catch (const std::exception& error) {
    log::Failure("unexpected_exception", {{"where", where_}, {"what", error.what()}});
  } catch (...) {
    log::Failure("unexpected_exception", {{"where", where_}});
  }
}

void LogUnexpected::LogError(const Error& error) const noexcept {
  log::Warning("session_failed", {{"where", where_}, {"reason", error}});
}

asio::awaitable<Status> Pause(Limit duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  auto [ec] = co_await timer.async_wait(kAwait);
  if (ec) co_return Error(ErrorCode::kUnavailable, "cancelled");
  co_return Status();
}

}  // namespace demur::net
