#pragma once

#include <string_view>

// Domain separation: every hash, MAC, key derivation and signature of demur starts from, or is
// derived under, one of these texts, so that bytes made for one purpose never pass for another.
// Changing a text changes the protocol. No two may be equal (tests/unit/crypto checks it).
namespace demur::crypto::label {

// Secure aggregation FSA-1 (docs/protocol.md).
inline constexpr std::string_view kSecAggSession = "fsa1/session";      // hash: session id
inline constexpr std::string_view kSecAggGraph = "fsa1/graph";          // HKDF info: graph seed
inline constexpr std::string_view kSecAggCommittee = "fsa1/committee";  // HKDF info
inline constexpr std::string_view kSecAggX25519 = "fsa1/x25519";        // HKDF info: seed -> scalar
inline constexpr std::string_view kSecAggShare = "fsa1/share";          // HKDF info: channel key
inline constexpr std::string_view kSecAggShareAad = "fsa1/M3";          // AEAD data of a share
inline constexpr std::string_view kSecAggPair = "fsa1/pair";            // HKDF info: pair mask key
inline constexpr std::string_view kSecAggSelf = "fsa1/self";            // HKDF info: self mask key
inline constexpr std::string_view kSecAggCommit = "fsa1/comB";          // hash: commitment to b
inline constexpr std::string_view kSecAggConfirm = "fsa1/confirm";      // hash: transcript T
inline constexpr std::string_view kSecAggConfirmed = "fsa1/confirmed";  // signature over T
inline constexpr std::string_view kSecAggRest = "fsa1/rest";            // hash: behind a roster key
inline constexpr std::string_view kSecAggShareHash = "fsa1/share-hash";  // hash: share in M3
inline constexpr std::string_view kSecAggCoins = "fsa1/coins";           // HKDF info: polynomials
inline constexpr std::string_view kSecAggSignature = "fsa1";  // prefix of signed messages

// Enrolment.
inline constexpr std::string_view kCertifyRequest = "demur/certify-request/1";  // signature
inline constexpr std::string_view kEnrolRequest = "demur/enrol-request/1";      // signature
inline constexpr std::string_view kRevocationList = "demur/revocation-list/1";  // signature
inline constexpr std::string_view kPopulation = "demur/population/1";           // signature
inline constexpr std::string_view kEligible = "demur/eligible/1";  // HMAC: who may be in a round
inline constexpr std::string_view kTokenId = "demur/token-id/1";   // hash: how a secret is stored

// The rest.
inline constexpr std::string_view kStoreKey = "demur/store-key/1";  // HKDF info: row key of a store
inline constexpr std::string_view kStoreRow = "demur/store-row/1";  // AEAD data of a stored row
inline constexpr std::string_view kSeeded = "demur/seeded/1";       // hash: key of a seeded stream
inline constexpr std::string_view kLedger = "demur/ledger/1";       // hash: chain of ledger entries

}  // namespace demur::crypto::label
