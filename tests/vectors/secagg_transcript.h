#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "demur/base/json.h"
#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/merkle.h"
#include "demur/secagg/shamir.h"
#include "secagg_session.h"

// Golden transcripts of FSA-1 (tests/vectors/secagg): a session with fixed randomness, run by the
// library, as one JSON document of everything that went in, over the wire and came out. The writer
// makes the files from it, the test compares them with it, and check.py recomputes them without
// the library. For tests only.
namespace demur::testing {

inline Json Numbers(std::span<const std::uint32_t> values) {
  Json::Array out;
  for (const std::uint32_t value : values) out.emplace_back(value);
  return Json(std::move(out));
}

class SecAggTranscript {
 public:
  explicit SecAggTranscript(model::SecAggProfile profile)
      : options_(Options(profile)), session_(options_) {
    for (std::uint32_t i = 0; i < options_.devices; ++i) device_at_.push_back(i);
    std::sort(device_at_.begin(), device_at_.end(), [this](auto a, auto b) {
      return session_.device(a).identity.public_key < session_.device(b).identity.public_key;
    });
    session_.Depart(device_at_[kGoneBeforeMasking], wire::FrameType::kMasked);
    session_.Depart(device_at_[kGoneAfterMasking],
                    malicious() ? wire::FrameType::kConfirm : wire::FrameType::kUnmask,
                    /*silent=*/true);
    session_.Run();
    DEMUR_CHECK(session_.sum_ready().has_value(), "a golden session comes to its end");
    session_.ServerEvent(secagg::server::event::Finish{wire::CloseStatus::kCommitted, kResult});
    session_.Settle();
    for (const auto& frame : session_.sent()) frames_[{frame.device, frame.type}] = frame.bytes;
    for (const auto& frame : session_.received()) frames_[{frame.device, frame.type}] = frame.bytes;
    ReadFacts();
  }

  // Members, by roster index, all of whose frames and derived values are in the document.
  static constexpr std::uint32_t kShown[] = {0, 12};

  SecAggSession& session() { return session_; }
  std::uint32_t DeviceAt(std::uint32_t index) const { return device_at_[index]; }
  bool malicious() const {
    return session_.plan().secagg.profile == model::SecAggProfile::kMalicious;
  }

  Json Document() {
    Json out;
    out.Set("about",
            "One FSA-1 session with fixed randomness. Made by secagg_vectors_writer, checked by "
            "secagg/check.py. Certificates are opaque strings. frames: frame bodies; "
            "frames_sha256: their hashes.");
    const auto& announcement = session_.server_config().announcement();
    out.Set("profile", malicious() ? "malicious" : "semi-honest");
    out.Set("plan", Hex(wire::EncodePlan(session_.plan())));
    out.Set("bits", announcement.plan.encoding.bits);
    out.Set("dim", announcement.dim);
    Json server;
    server.Set("signing_seed", Hex(session_.server_key().seed.view()));
    server.Set("signing_key", Hex(session_.server_key().public_key));
    server.Set("nonce", Hex(session_.server_config().server_nonce()));
    server.Set("result_hash", Hex(kResult));
    out.Set("server", std::move(server));
    out.Set("silent_from", Departures());
    out.Set("derived", Derived());
    out.Set("opened", Opened());
    Json members;
    for (std::uint32_t i = 0; i < facts_.n; ++i) members.Append(Member(i));
    out.Set("members", std::move(members));
    return out;
  }

 private:
  using Type = wire::FrameType;

  static constexpr std::uint32_t kGoneBeforeMasking = 5;
  static constexpr std::uint32_t kGoneAfterMasking = 11;
  static constexpr Hash256 kResult{std::byte{0x5a}};

  static SessionOptions Options(model::SecAggProfile profile) {
    SessionOptions options;
    options.dim = 8;
    options.sigma = profile == model::SecAggProfile::kMalicious ? 80 : 40;
    options.profile = profile;
    options.seed = 20;
    return options;
  }
  static std::string Hex(ByteView bytes) { return ToHex(bytes); }
  static std::string Name(Type type) {
    return "M" + std::to_string(static_cast<int>(type) - static_cast<int>(Type::kAnnounce));
  }
  static bool Shown(std::uint32_t index) {
    return std::find(std::begin(kShown), std::end(kShown), index) != std::end(kShown);
  }

  const Bytes* FrameOf(std::uint32_t index, Type type) const {
    const auto it = frames_.find({device_at_[index], type});
    return it == frames_.end() ? nullptr : &it->second;
  }
  Bytes BodyOf(std::uint32_t index, Type type) const {
    return wire::DecodeSignedBody(*FrameOf(index, type), wire::kMaxAnnounceLen)->body;
  }

  void ReadFacts() {
    const auto limits = session_.server_config().announcement().limits();
    const auto roster = wire::DecodeRoster(BodyOf(0, Type::kRoster), limits);
    DEMUR_CHECK(roster.has_value(), "the library reads what it wrote");
    facts_ = secagg::MakeSession(session_.server_config().announcement(), roster->server_nonce,
                                 roster->root, roster->size);
    parameters_ = *secagg::ComputeParameters(facts_.n, session_.plan().secagg);
    graph_ = *secagg::Graph::Create(facts_.n, parameters_, secagg::GraphSeed(facts_));
    shared_ = *secagg::MemberSet::FromBytes(
        facts_.n, wire::DecodeInbox(BodyOf(0, Type::kInbox), limits)->shared);
    survivors_ = *secagg::MemberSet::FromBytes(
        facts_.n, wire::DecodeConfirmRequest(BodyOf(0, Type::kConfirmRequest), limits)->survivors);
  }

  Json Departures() {
    Json out;
    for (const auto index : {kGoneBeforeMasking, kGoneAfterMasking}) {
      Json one;
      one.Set("index", index);
      const Departure& departure = *session_.device(device_at_[index]).departure;
      one.Set("message", Name(departure.instead_of));
      one.Set("says_leave", !departure.silent);
      out.Append(std::move(one));
    }
    return out;
  }

  static Json ParametersOf(const secagg::Parameters& p) {
    Json out;
    out.Set("k", p.neighbours).Set("t", p.threshold).Set("survivors_min", p.survivors_min);
    out.Set("m", p.committee).Set("q", p.quorum);
    return out;
  }

  Json Derived() {
    Json out;
    out.Set("parameters", ParametersOf(parameters_));
    out.Set("announce_hash", Hex(facts_.announce_hash));
    out.Set("params_hash", Hex(facts_.params_hash));
    out.Set("model_hash", Hex(facts_.model_hash));
    out.Set("root", Hex(facts_.root));
    out.Set("session", Hex(facts_.session));
    out.Set("graph_seed", Hex(secagg::GraphSeed(facts_).view()));
    out.Set("shared", Hex(shared_.bytes()));
    out.Set("shared_hash", Hex(crypto::Sha256(shared_.bytes())));
    out.Set("survivors", Hex(survivors_.bytes()));
    out.Set("survivors_hash", Hex(crypto::Sha256(survivors_.bytes())));
    if (malicious()) {
      const auto seed = secagg::CommitteeSeed(facts_);
      out.Set("committee_seed", Hex(seed.view()));
      out.Set("committee", Numbers(*secagg::DrawCommittee(facts_.n, parameters_, seed)));
      out.Set("transcript", Hex(secagg::ConfirmTranscript(facts_, shared_, survivors_)));
      std::vector<std::uint32_t> signers;
      const auto limits = session_.server_config().announcement().limits();
      const auto request = wire::DecodeUnmaskRequest(BodyOf(0, Type::kUnmaskRequest), limits);
      for (const auto& confirmation : request->confirmations) signers.push_back(confirmation.index);
      out.Set("signers", Numbers(signers));
    }
    out.Set("sum", Numbers(session_.sum_ready()->sum));
    return out;
  }

  // Every seed that the coordinator opens, from the shares that it was sent.
  Json Opened() {
    std::map<std::uint32_t, std::vector<std::pair<std::uint32_t, wire::RevealedShare>>> shares;
    const auto limits = session_.server_config().announcement().limits();
    for (std::uint32_t holder = 0; holder < facts_.n; ++holder) {
      if (FrameOf(holder, Type::kUnmask) == nullptr) continue;
      auto unmask = wire::DecodeUnmask(BodyOf(holder, Type::kUnmask), limits);
      for (auto& share : unmask->shares) {
        shares[share.index].emplace_back(holder, std::move(share));
      }
    }
    Json out;
    for (const auto& [dealer, revealed] : shares) {
      std::vector<secagg::HeldShare> used;
      std::vector<std::uint32_t> holders;
      for (const auto& [holder, share] : revealed) {
        if (used.size() == parameters_.threshold) break;
        used.push_back({holder + 1, &share.share});
        holders.push_back(holder);
      }
      const auto seed = secagg::OpenSecret(used);
      DEMUR_CHECK(seed.has_value(), "enough shares were revealed");
      Json one;
      one.Set("dealer", dealer).Set("kind", survivors_.Contains(dealer) ? "self" : "mask");
      one.Set("holders", Numbers(holders)).Set("seed", Hex(seed->view()));
      out.Append(std::move(one));
    }
    return out;
  }

  static std::string FirstWordsOf(const SecretArray<32>& key) {
    std::vector<std::uint32_t> words(2);
    DEMUR_CHECK(secagg::ApplyMask(key, secagg::MaskSign::kAdd, words).has_value(), "a mask");
    ByteWriter out;
    for (const std::uint32_t word : words) out.U32(word);
    return Hex(out.bytes());
  }

  Json Member(std::uint32_t index) {
    const auto& device = session_.device(device_at_[index]);
    const secagg::ClientSecrets secrets = session_.SecretsOf(device_at_[index]);
    const auto m1 = *wire::DecodeAdvertise(BodyOf(index, Type::kAdvertise));
    Json out;
    out.Set("index", index);
    out.Set("identity_seed", Hex(device.identity.seed.view()));
    out.Set("identity_key", Hex(m1.identity_key));
    out.Set("certificate", Hex(m1.certificate));
    out.Set("channel_seed", Hex(secrets.channel_seed.view()));
    out.Set("mask_seed", Hex(secrets.mask_seed.view()));
    out.Set("self_seed", Hex(secrets.self_seed.view()));
    out.Set("share_seed", Hex(secrets.share_seed.view()));
    out.Set("nonce", Hex(secrets.nonce));
    out.Set("input", Numbers(session_.InputOf(device_at_[index])));
    out.Set("channel_key", Hex(m1.channel_key));
    out.Set("mask_key", Hex(m1.mask_key));
    out.Set("self_commitment", Hex(m1.self_commitment));
    const Hash256 rest = secagg::RosterRest(m1);
    out.Set("rest", Hex(rest)).Set("leaf", Hex(secagg::RosterLeaf(m1.identity_key, rest)));
    const auto self_key = secagg::SelfMaskKey(facts_, secrets.self_seed, index);
    out.Set("self_mask_key", Hex(self_key.view())).Set("self_mask_words", FirstWordsOf(self_key));
    out.Set("neighbours", Numbers(graph_.Neighbours(index)));
    if (FrameOf(index, Type::kMasked) != nullptr) {
      const auto limits = session_.server_config().announcement().limits();
      out.Set("packed", Hex(wire::DecodeMasked(BodyOf(index, Type::kMasked), limits)->packed));
    }
    if (Shown(index)) out.Set("dealt", Dealt(index, secrets));
    if (Shown(index) || !survivors_.Contains(index)) out.Set("pairs", Pairs(index, secrets));
    SetFrames(index, &out);
    return out;
  }

  void SetFrames(std::uint32_t index, Json* out) const {
    Json frames;
    Json hashes;
    for (int number = 0; number <= 10; ++number) {
      const auto type = static_cast<Type>(number + static_cast<int>(Type::kAnnounce));
      const Bytes* frame = FrameOf(index, type);
      if (frame == nullptr) continue;
      const bool whole = Shown(index) || type == Type::kAdvertise || type == Type::kMasked;
      if (whole) frames.Set(Name(type), Hex(*frame));
      if (!whole) hashes.Set(Name(type), Hex(crypto::Sha256(*frame)));
    }
    out->Set("frames", std::move(frames));
    if (!hashes.is_null()) out->Set("frames_sha256", std::move(hashes));
  }

  // What `index` deals to each neighbour, as M3 has it.
  Json Dealt(std::uint32_t index, const secagg::ClientSecrets& secrets) {
    const auto own = *secagg::KeyPairFromSeed(facts_.announce_hash, secrets.channel_seed);
    auto agreement = *crypto::X25519Agreement::Create(own.private_key);
    const auto coins = crypto::MakeCtrStream(crypto::HkdfKey(
        secrets.share_seed.view(), facts_.session, AsBytes(crypto::label::kSecAggCoins)));
    std::vector<std::uint32_t> xs;
    for (const std::uint32_t holder : graph_.Neighbours(index)) xs.push_back(holder + 1);
    const auto mask = secagg::SplitSecret(secrets.mask_seed, parameters_.threshold, xs, *coins);
    const auto self = secagg::SplitSecret(secrets.self_seed, parameters_.threshold, xs, *coins);
    const auto limits = session_.server_config().announcement().limits();
    const auto message = *wire::DecodeShares(BodyOf(index, Type::kShares), limits);
    Json out;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const auto& item = message.items[i];
      const auto keys = secagg::DeriveChannel(facts_, agreement, {index, own.public_key},
                                              {item.index, AdvertisedBy(item.index).channel_key});
      Json one;
      one.Set("holder", item.index).Set("channel_key", Hex(keys->to_peer.view()));
      one.Set("aad", Hex(secagg::ShareAad(facts_, index, item.index)));
      one.Set("mask_share", Hex((*mask)[i].view())).Set("self_share", Hex((*self)[i].view()));
      one.Set("mask_share_hash", Hex(item.mask_share_hash));
      one.Set("self_share_hash", Hex(item.self_share_hash));
      one.Set("sealed", Hex(item.sealed));
      out.Append(std::move(one));
    }
    return out;
  }

  Json Pairs(std::uint32_t index, const secagg::ClientSecrets& secrets) {
    const auto own = *secagg::KeyPairFromSeed(facts_.announce_hash, secrets.mask_seed);
    auto agreement = *crypto::X25519Agreement::Create(own.private_key);
    Json out;
    for (const std::uint32_t peer : graph_.Neighbours(index)) {
      const auto key = secagg::PairMaskKey(facts_, agreement, {index, own.public_key},
                                           {peer, AdvertisedBy(peer).mask_key});
      Json one;
      one.Set("peer", peer).Set("key", Hex(key->view())).Set("words", FirstWordsOf(*key));
      out.Append(std::move(one));
    }
    return out;
  }

  wire::Advertise AdvertisedBy(std::uint32_t index) const {
    return *wire::DecodeAdvertise(BodyOf(index, Type::kAdvertise));
  }

  SessionOptions options_;
  SecAggSession session_;
  std::vector<std::uint32_t> device_at_;  // by roster index
  std::map<std::pair<std::uint32_t, Type>, Bytes> frames_;
  secagg::SessionFacts facts_;
  secagg::Parameters parameters_;
  secagg::Graph graph_;
  secagg::MemberSet shared_;
  secagg::MemberSet survivors_;
};

// Graph, committee and roster proofs of an expander, without a session: leaf i of the tree is
// SHA-256(u32 i), the session id a hash of a text.
class ExpanderExample {
 public:
  ExpanderExample() : plan_(Plan()) {
    std::vector<Hash256> leaves;
    for (std::uint32_t i = 0; i < kSize; ++i) {
      ByteWriter leaf;
      leaves.push_back(crypto::Sha256(leaf.U32(i).bytes()));
    }
    tree_ = std::make_unique<secagg::MerkleTree>(leaves);
    facts_.session = crypto::Sha256(AsBytes("a session"));
    facts_.root = tree_->root();
    facts_.n = kSize;
    parameters_ = *secagg::ComputeParameters(kSize, plan_);
    committee_ = *secagg::DrawCommittee(kSize, parameters_, secagg::CommitteeSeed(facts_));
  }

  Json Document() const {
    const auto seed = secagg::GraphSeed(facts_);
    Json out;
    out.Set("about",
            "Graph, committee and roster proofs of FSA-1 on an expander; leaf i of the "
            "roster's tree is SHA-256(u32 i).");
    out.Set("n", kSize).Set("corrupt_permille", plan_.corrupt_permille);
    out.Set("dropout_permille", plan_.dropout_permille);
    out.Set("sigma", plan_.sigma).Set("eta", plan_.eta);
    out.Set("k", parameters_.neighbours).Set("t", parameters_.threshold);
    out.Set("survivors_min", parameters_.survivors_min);
    out.Set("m", parameters_.committee).Set("q", parameters_.quorum);
    out.Set("session", ToHex(facts_.session)).Set("root", ToHex(facts_.root));
    out.Set("graph_seed", ToHex(seed.view()));
    out.Set("first_cycle", Numbers(*secagg::DrawOrder(kSize, seed, 0)));
    out.Set("second_cycle", Numbers(*secagg::DrawOrder(kSize, seed, 1)));
    out.Set("committee_seed", ToHex(secagg::CommitteeSeed(facts_).view()));
    out.Set("committee", Numbers(committee_));
    Json members;
    for (const std::uint32_t index : {0U, 77U, 219U}) members.Append(Member(index, seed));
    out.Set("members", std::move(members));
    return out;
  }

 private:
  static constexpr std::uint32_t kSize = 220;

  static model::SecAggPlan Plan() {
    SessionOptions options;
    options.devices = kSize;
    options.sigma = 80;
    options.profile = model::SecAggProfile::kMalicious;
    return SessionPlan(options).secagg;
  }

  // The proof is for what M2 shows this member: itself, its neighbours and the committee.
  Json Member(std::uint32_t index, const SecretArray<32>& seed) const {
    const auto neighbours = *secagg::Graph::NeighboursOf(index, kSize, parameters_, seed);
    std::set<std::uint32_t> shown(neighbours.begin(), neighbours.end());
    shown.insert(committee_.begin(), committee_.end());
    shown.insert(index);
    const std::vector<std::uint32_t> indices(shown.begin(), shown.end());
    std::string proof;
    for (const Hash256& node : tree_->Proof(indices)) proof += ToHex(node);
    Json out;
    out.Set("index", index).Set("neighbours", Numbers(neighbours));
    out.Set("multiproof", std::move(proof));
    return out;
  }

  model::SecAggPlan plan_;
  std::unique_ptr<secagg::MerkleTree> tree_;
  secagg::SessionFacts facts_;
  secagg::Parameters parameters_;
  std::vector<std::uint32_t> committee_;
};

}  // namespace demur::testing
