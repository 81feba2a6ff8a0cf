#include "demur/secagg/shamir.h"

#include "demur/base/check.h"

namespace demur::secagg {
namespace {

constexpr std::size_t kLimbLen = 7;  // bytes; the last limb holds what is left of 32

using Limbs = std::array<std::uint64_t, kSecretLimbs>;

template <class T>
void WipeAll(T& words) noexcept {
  Wipe(std::as_writable_bytes(std::span(words)));
}

constexpr std::size_t LimbEnd(std::size_t limb) noexcept {
  return std::min<std::size_t>((limb + 1) * kLimbLen, 32);
}

std::uint64_t LoadBig(ByteView bytes) noexcept {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}
void StoreBig(std::uint64_t value, std::span<std::byte> bytes) noexcept {
  for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = std::byte(value & 0xFFU);
}

// Uniform below 2^61 - 1 for each entry. The prime itself is the one value thrown away.
Status DrawCoefficients(RandomStream& coins, std::span<std::uint64_t> out) {
  DEMUR_RETURN_IF_ERROR(coins.Fill(std::as_writable_bytes(out)));
  for (std::uint64_t& value : out) {
    value >>= 3;
    while (value == ShareField::kPrime) {
      DEMUR_RETURN_IF_ERROR(coins.Fill(std::as_writable_bytes(std::span(&value, 1))));
      value >>= 3;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<SecretShare>> SplitSecret(const SecretArray<32>& secret, std::uint32_t threshold,
                                             std::span<const std::uint32_t> xs,
                                             RandomStream& coins) {
  DEMUR_CHECK(threshold >= 1 && threshold <= xs.size(), "1 <= threshold <= shares");
  std::vector<SecretShare> shares(xs.size());
  std::vector<std::uint64_t> coefficients(threshold);
  Status status;
  for (std::size_t limb = 0; limb < kSecretLimbs && status.has_value(); ++limb) {
    status = DrawCoefficients(coins, std::span(coefficients).subspan(1));
    coefficients[0] =
        LoadBig(secret.view().subspan(limb * kLimbLen, LimbEnd(limb) - limb * kLimbLen));
    for (std::size_t i = 0; i < xs.size(); ++i) {
      DEMUR_CHECK(xs[i] != 0, "0 is where the secret lies");
      StoreBig(Evaluate<ShareField>(coefficients, xs[i]),
               shares[i].mutable_view().subspan(limb * 8, 8));
    }
  }
  WipeAll(coefficients);
  DEMUR_RETURN_IF_ERROR(std::move(status));
  return shares;
}

Result<SecretArray<32>> OpenSecret(std::span<const HeldShare> shares) {
  if (shares.empty()) return Error(ErrorCode::kInvalidArgument, "no shares");
  std::vector<std::uint64_t> xs;
  xs.reserve(shares.size());
  for (const HeldShare& held : shares) xs.push_back(held.x);
  DEMUR_TRY(const auto weights, LagrangeAtZero<ShareField>(xs));
  Limbs limbs{};
  bool sound = true;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      const std::uint64_t y = LoadBig(shares[i].share->view().subspan(limb * 8, 8));
      sound = sound && y < ShareField::kPrime;
      limbs[limb] =
          ShareField::Add(limbs[limb], ShareField::Mul(weights[i], y & ShareField::kPrime));
    }
  }
  SecretArray<32> secret;
  bool fits = true;
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    const std::size_t len = LimbEnd(limb) - limb * kLimbLen;
    fits = fits && limbs[limb] >> (8 * len) == 0;
    StoreBig(limbs[limb], secret.mutable_view().subspan(limb * kLimbLen, len));
  }
  WipeAll(limbs);
  if (!sound) return Error(ErrorCode::kInvalidArgument, "a share is no element of the field");
  if (!fits) return Error(ErrorCode::kDataLoss, "the shares belong to no secret");
  return secret;
}

}  // namespace demur::secagg
