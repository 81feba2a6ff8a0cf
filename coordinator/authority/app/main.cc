#include <CLI/CLI.hpp>
#include <asio/signal_set.hpp>
#include <asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/base/clock.h"
#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/system_random.h"

// demur-ca: the operator's hand on the identity authority. Every verb opens the data folder, does
// one thing and says what it did; an error goes to standard error with exit code 1.
namespace demur::authority {
namespace {

struct Arguments {
  std::string folder;
  std::string name = "demur authority";
  std::string request_file;
  std::string out_file;
  std::string address;
  std::string listen = "127.0.0.1:0";
  std::string port_file;
  std::string enrol_address;
  std::string log_level = "info";
  std::uint32_t devices = 1;
  double expires_hours = 24;
  std::uint64_t device = 0;
};

struct Tools {
  SystemClock clock;
  crypto::SystemRandom random;
};

Status RunInit(const Arguments& arguments, Tools& tools) {
  DEMUR_RETURN_IF_ERROR(
      Authority::Init(arguments.folder, arguments.name, tools.clock, tools.random));
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  std::printf("authority made in %s\ncertificate %s/ca.pem, SHA-256 %s\n", arguments.folder.c_str(),
              arguments.folder.c_str(), ToHex(authority->certificate_sha256()).c_str());
  return {};
}

Status RunCertify(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  DEMUR_TRY(const wire::Endpoint address, wire::ParseEndpoint(arguments.address));
  DEMUR_TRY(const std::string text,
            ReadTextFile(arguments.request_file, crypto::kOperatorFileMaxLen));
  auto request = crypto::ParseCertifyRequest(text);
  if (!request) return std::move(request).error().WithContext(arguments.request_file);
  DEMUR_TRY(const Bytes certificate, authority->Certify(*request, address));
  DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(arguments.out_file, certificate));
  std::printf("coordinator %s at %s certified: %s\n", request->name.c_str(),
              wire::Format(address).c_str(), arguments.out_file.c_str());
  return {};
}

Status RunToken(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  TokenRequest request;
  request.devices = arguments.devices;
  // In double first: a number beyond the integers must not wrap into a short life.
  const double seconds = arguments.expires_hours * 3600.0;
  const bool fits = seconds >= 1 && seconds <= static_cast<double>(kMaxTokenSeconds);
  request.lifetime_s = fits ? static_cast<std::int64_t>(seconds) : 0;
  DEMUR_TRY(request.enrolment_address, wire::ParseEndpoint(arguments.enrol_address));
  DEMUR_TRY(const SecretBytes token, authority->MakeToken(request));
  Bytes line = ToBytes(token.view());
  line.push_back(std::byte{'\n'});
  const SecretBytes text(std::move(line));
  DEMUR_RETURN_IF_ERROR(WriteFileAtomically(arguments.out_file, text.view(), FileMode::kOwnerOnly));
  std::printf("token for %u device%s written to %s\n", request.devices,
              request.devices == 1 ? "" : "s", arguments.out_file.c_str());
  return {};
}

Status RunRevoke(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  DEMUR_RETURN_IF_ERROR(authority->Revoke(DeviceNumber(arguments.device)));
  std::printf(
      "device %llu revoked; copy %s/revoked.json into the coordinator's folder: it is shut "
      "out from the next round on\n",
      static_cast<unsigned long long>(arguments.device), arguments.folder.c_str());
  return {};
}

Status RunCloseEpoch(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  DEMUR_TRY(const secagg::PopulationStatement closed, authority->CloseEpoch());
  std::printf(
      "epoch %llu closed: %llu enrolled, %llu active, revocation list %llu\nroot   %s\nbeacon %s\n"
      "copy %s/%s into the coordinator's folder: it draws from it from the next round on\n",
      static_cast<unsigned long long>(closed.epoch),
      static_cast<unsigned long long>(closed.enrolled),
      static_cast<unsigned long long>(closed.active),
      static_cast<unsigned long long>(closed.revocations), ToHex(closed.root).c_str(),
      ToHex(closed.beacon).c_str(), arguments.folder.c_str(), std::string(kPopulationFile).c_str());
  return {};
}

Status RunProve(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  DEMUR_TRY(const InclusionProof proof, authority->ProveInclusion(DeviceNumber(arguments.device)));
  std::printf("device %llu in epoch %llu of %llu\nroot %s\nkey  %s\n",
              static_cast<unsigned long long>(arguments.device),
              static_cast<unsigned long long>(proof.statement.epoch),
              static_cast<unsigned long long>(proof.statement.enrolled),
              ToHex(proof.statement.root).c_str(), ToHex(proof.identity_key).c_str());
  for (const Hash256& sibling : proof.path) std::printf("path %s\n", ToHex(sibling).c_str());
  return {};
}

Status RunServe(const Arguments& arguments, Tools& tools) {
  DEMUR_TRY(const auto authority, Authority::Open(arguments.folder, tools.clock, tools.random));
  EnrolServerOptions options;
  DEMUR_TRY(options.listen, wire::ParseEndpoint(arguments.listen));
  asio::thread_pool pool(2);
  // Before the port is known to anybody: a signal must not find the default action.
  asio::signal_set signals(pool, SIGINT, SIGTERM);
  DEMUR_TRY(const auto server,
            EnrolServer::Start(*authority, tools.clock, pool.get_executor(), options));
  signals.async_wait([&server](const asio::error_code& failure, int) {
    if (!failure) server->Stop();
  });
  if (!arguments.port_file.empty()) {
    const std::string text = std::to_string(server->port()) + "\n";
    Status written = WriteFileAtomically(arguments.port_file, AsBytes(text), FileMode::kPublic);
    if (!written) {
      signals.cancel();
      server->Stop(net::kNoLimit);
      pool.join();
      return written;
    }
  }
  const wire::Endpoint bound{options.listen.host, server->port()};
  log::Info("enrolment_open", {{"address", wire::Format(bound)}});
  pool.join();
  log::Info("enrolment_closed");
  return {};
}

void DefineCommon(CLI::App* verb, Arguments* arguments) {
  verb->add_option("--dir", arguments->folder, "data folder of the authority")->required();
  verb->add_option("--log-level", arguments->log_level, "debug, info, warning, error or off");
}

void DefineVerbs(CLI::App* app, Arguments* arguments) {
  app->require_subcommand(1);
  CLI::App* init = app->add_subcommand("init", "make a new authority; never overwrites one");
  DefineCommon(init, arguments);
  init->add_option("--name", arguments->name, "name in its certificate")->capture_default_str();

  CLI::App* certify = app->add_subcommand("certify", "certify the coordinator");
  DefineCommon(certify, arguments);
  certify->add_option("--request", arguments->request_file, "request file of the coordinator")
      ->required();
  certify->add_option("--out", arguments->out_file, "certificate to write (PEM)")->required();
  certify->add_option("--address", arguments->address, "where devices reach it, host:port")
      ->required();

  CLI::App* serve = app->add_subcommand("serve", "enrol devices until SIGTERM");
  DefineCommon(serve, arguments);
  serve->add_option("--listen", arguments->listen, "numeric address:port; port 0 picks one")
      ->capture_default_str();
  serve->add_option("--port-file", arguments->port_file, "write the port here once it is open");

  CLI::App* token = app->add_subcommand("token", "make an enrolment token");
  DefineCommon(token, arguments);
  token->add_option("--devices", arguments->devices, "how many devices it enrols")
      ->capture_default_str();
  token->add_option("--expires-hours", arguments->expires_hours, "how long it is good")
      ->capture_default_str();
  token->add_option("--enrol-address", arguments->enrol_address, "where devices enrol, host:port")
      ->required();
  token->add_option("--out", arguments->out_file, "file for the token (mode 0600)")->required();

  CLI::App* revoke = app->add_subcommand("revoke", "shut a device out for good");
  DefineCommon(revoke, arguments);
  revoke->add_option("--device", arguments->device, "its number")->required();

  CLI::App* close = app->add_subcommand(
      "close-epoch", "sign the population enrolled until now, for cohorts drawn by its beacon");
  DefineCommon(close, arguments);
  CLI::App* prove =
      app->add_subcommand("prove", "print a device's path to the root of the newest epoch");
  DefineCommon(prove, arguments);
  prove->add_option("--device", arguments->device, "its number")->required();
}

Status Run(const CLI::App& app, const Arguments& arguments) {
  DEMUR_TRY(const log::Level level, log::ParseLevel(arguments.log_level));
  log::SetLevel(level);
  Tools tools;
  if (app.got_subcommand("init")) return RunInit(arguments, tools);
  if (app.got_subcommand("certify")) return RunCertify(arguments, tools);
  if (app.got_subcommand("serve")) return RunServe(arguments, tools);
  if (app.got_subcommand("token")) return RunToken(arguments, tools);
  if (app.got_subcommand("close-epoch")) return RunCloseEpoch(arguments, tools);
  if (app.got_subcommand("prove")) return RunProve(arguments, tools);
  return RunRevoke(arguments, tools);
}

int Main(int argc, char** argv) {
  CLI::App app("The identity authority of a demur federation");
  Arguments arguments;
  DefineVerbs(&app, &arguments);
  CLI11_PARSE(app, argc, argv);
  const Status status = Run(app, arguments);
  if (status) return 0;
  std::fprintf(stderr, "demur-ca: %s: %s\n", std::string(ToString(status.error().code())).c_str(),
               status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace demur::authority

int main(int argc, char** argv) {
  try {
    return demur::authority::Main(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "demur-ca: internal: %s\n", failure.what());
    return 1;
  }
}
