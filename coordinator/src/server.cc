#include "demur/coordinator/server.h"

#include <algorithm>
#include <array>
#include <asio/ip/address.hpp>
#include <utility>

#include "demur/base/log.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/round_store.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"
#include "demur/net/http_server.h"
#include "demur/net/listener.h"
#include "demur/net/tls_context.h"
#include "demur/wire/secagg_messages.h"
#include "engine.h"
#include "session.h"

namespace demur::coordinator {
namespace {

constexpr std::size_t kMaxAdminConnections = 32;

// Longest frame that a device of this task may send.
std::uint32_t MaxFrameLen(const PreparedTask& task) {
  const model::Plan& plan = task.plan_template();
  std::vector<wire::SecAggLimits> sessions = {
      {plan.secagg.roster_max, task.layout().dim(), plan.encoding.bits}};
  if (plan.session.sparse()) {
    sessions.push_back({plan.secagg.roster_max, plan.session.other_dim, plan.session.other.bits});
  }
  std::uint32_t longest = wire::kMaxControlBodyLen;
  for (const wire::SecAggLimits& limits : sessions) {
    for (const wire::FrameType type :
         {wire::FrameType::kAdvertise, wire::FrameType::kShares, wire::FrameType::kMasked,
          wire::FrameType::kConfirm, wire::FrameType::kUnmask}) {
      longest = std::max(longest, wire::MaxSecAggFrameLen(type, limits));
    }
  }
  return longest;
}

Result<net::TlsContext> MakeTls(const Deployment& deployment, const Clock& clock) {
  const net::TlsIdentity identity{deployment.certificate,
                                  crypto::PrivateKeyToDer(deployment.server_key)};
  return net::TlsContext::Mutual(net::Role::kServer, identity, deployment.authority, clock);
}

// The page shows nothing secret, but it asks nobody who they are.
Status CheckAdmin(const wire::Endpoint& admin) {
  asio::error_code bad;
  const asio::ip::address host = asio::ip::make_address(admin.host, bad);
  if (!bad && host.is_loopback()) return {};
  return Error(ErrorCode::kInvalidArgument,
               "admin address " + wire::Format(admin) +
                   ": only a loopback address (127.0.0.1, ::1); put a proxy that authenticates in "
                   "front of it to look from elsewhere");
}

Result<EngineParts> MakeParts(Deployment deployment, const Clock& clock, RandomSource& random,
                              const ServerOptions& options) {
  DEMUR_RETURN_IF_ERROR(CheckCertificate(deployment, clock.UnixMillis() / 1000));
  DEMUR_TRY(const auto certificate, crypto::ParseCertificate(deployment.certificate));
  DEMUR_TRY(PreparedTask task, PreparedTask::Create(deployment.task));
  DEMUR_TRY(RoundStore store, RoundStore::Open(deployment.dir, RoundStore::Access::kWrite));
  MachineConfig config = MachineConfig::From(task.config());
  config.stop_after = options.stop_after;
  // Before an open round is settled: a start that fails should change as little as it can.
  DEMUR_TRY(const crypto::RevocationList in_force, store.Revoked());
  DEMUR_TRY(crypto::RevocationList revoked,
            LoadRevocations(deployment.dir, deployment.authority, in_force));
  std::optional<Population> population;
  if (task.config().eligibility.RateUnits() > 0) {
    DEMUR_TRY(population, LoadPopulation(deployment.dir, deployment.authority, std::nullopt));
  }
  DEMUR_TRY(Recovered recovered, Recover(store, task, config, clock.UnixMillis()));
  DEMUR_RETURN_IF_ERROR(store.KeepRevocations(revoked));
  return EngineParts{std::move(deployment),
                     std::move(task),
                     std::move(store),
                     std::move(recovered),
                     std::move(revoked),
                     std::move(population),
                     certificate.validity.not_after,
                     clock,
                     random,
                     options.on_frame,
                     options.on_round};
}

net::HttpReply Answer(const Engine& engine, const net::HttpRequest& request) {
  const StatusView status = engine.status();
  if (request.path == "/") return {200, "text/html; charset=utf-8", RenderPage(status)};
  if (request.path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", RenderMetrics(status)};
  }
  if (request.path == "/status.json") {
    return {200, "application/json", ToJson(status).Dump(2) + "\n"};
  }
  if (request.path == "/healthz") {
    if (status.phase == "failed") return {503, "text/plain; charset=utf-8", "store failed\n"};
    return {200, "text/plain; charset=utf-8", "ok\n"};
  }
  return net::HttpReplyFor(
      Error(ErrorCode::kNotFound, "there is /, /healthz, /metrics and /status.json"));
}

}  // namespace

struct Server::Impl {
  explicit Impl(EngineParts parts) : engine(std::move(parts)) {}
  ~Impl() {
    // Nothing may come in any more when the engine goes.
    if (admin) admin->Stop();
    if (listener) listener->Stop();
    gate->CloseAndWait();
  }

  Status Listen(const Clock& clock, asio::any_io_executor executor, const ServerOptions& options);

  Engine engine;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  net::Limit goodbye_limit{0};
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<net::Listener> admin;
};

Status Server::Impl::Listen(const Clock& clock, asio::any_io_executor executor,
                            const ServerOptions& options) {
  DEMUR_TRY(const net::TlsContext tls, MakeTls(engine.deployment(), clock));
  SessionOptions session;
  session.task = engine.task().id();
  session.max_body_len = MaxFrameLen(engine.task());
  session.hello_limit = options.hello_limit;
  session.send_limit = options.send_limit;
  goodbye_limit = options.goodbye_limit;
  net::ListenerOptions listen;
  listen.host = options.listen.host;
  listen.port = options.listen.port;
  listen.max_connections = options.max_connections;
  const auto serve = [gate = gate, &engine = engine,
                      session](std::unique_ptr<net::FrameStream> stream) {
    return ServeDevice(gate, engine, session, std::move(stream));
  };
  DEMUR_TRY(listener, net::Listener::Open(executor, listen, net::TlsHandler(tls, serve)));
  if (!options.admin) return {};
  listen.host = options.admin->host;
  listen.port = options.admin->port;
  listen.max_connections = kMaxAdminConnections;
  const auto answer = [gate = gate, &engine = engine](const net::HttpRequest& request) {
    const auto [open, pass] = Gate::Enter(gate);
    if (!open) return net::HttpReplyFor(Error(ErrorCode::kUnavailable, "stopping"));
    return Answer(engine, request);
  };
  DEMUR_TRY(admin, net::Listener::Open(executor, listen, net::HttpHandler(answer)));
  return {};
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Server>> Server::Start(Deployment deployment, const Clock& clock,
                                              RandomSource& random, asio::any_io_executor executor,
                                              ServerOptions options) {
  if (options.admin) DEMUR_RETURN_IF_ERROR(CheckAdmin(*options.admin));
  DEMUR_TRY(EngineParts parts, MakeParts(std::move(deployment), clock, random, options));
  auto impl = std::make_unique<Impl>(std::move(parts));
  DEMUR_RETURN_IF_ERROR(impl->Listen(clock, std::move(executor), options));
  impl->engine.Start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  Stop();
  (void)Wait();
}

std::uint16_t Server::port() const noexcept { return impl_->listener->port(); }
std::uint16_t Server::admin_port() const noexcept {
  return impl_->admin ? impl_->admin->port() : std::uint16_t{0};
}

void Server::Stop() { impl_->engine.Stop(); }

Result<StopReason> Server::Wait() {
  Result<StopReason> reason = impl_->engine.Wait();
  impl_->listener->Stop(impl_->goodbye_limit);
  if (impl_->admin) impl_->admin->Stop();
  impl_->gate->CloseAndWait();
  return reason;
}

StatusView Server::status() const { return impl_->engine.status(); }

}  // namespace demur::coordinator
