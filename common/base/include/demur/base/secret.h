#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/bytes.h"

// Memory for keys, seeds and shares: moves, never copies, compares or prints, and is wiped when it
// goes. Not thread-safe per object.
namespace demur {

// Overwrites `bytes`; the compiler may not drop it.
void Wipe(std::span<std::byte> bytes) noexcept;

// True when both are equal. Time depends on the lengths only, never on the content.
bool ConstantTimeEqual(ByteView a, ByteView b) noexcept;

// A secret whose length is known at run time.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t len) : bytes_(len) {}
  // Takes the bytes over; the caller's vector is left empty.
  explicit SecretBytes(std::vector<std::byte>&& bytes) noexcept : bytes_(std::move(bytes)) {}
  static SecretBytes CopyOf(ByteView bytes) { return SecretBytes(ToBytes(bytes)); }

  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) {
    other.bytes_.clear();
  }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      Wipe(bytes_);
      bytes_ = std::move(other.bytes_);
      other.bytes_.clear();
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { Wipe(bytes_); }

  SecretBytes Clone() const { return CopyOf(bytes_); }
  std::size_t size() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return bytes_.empty(); }
  ByteView view() const noexcept { return bytes_; }
  std::span<std::byte> mutable_view() noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A secret of N bytes.
template <std::size_t N>
class SecretArray {
 public:
  static constexpr std::size_t kLen = N;

  SecretArray() = default;
  SecretArray(SecretArray&& other) noexcept : bytes_(other.bytes_) { Wipe(other.bytes_); }
  SecretArray& operator=(SecretArray&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      Wipe(other.bytes_);
    }
    return *this;
  }
  SecretArray(const SecretArray&) = delete;
  SecretArray& operator=(const SecretArray&) = delete;
  ~SecretArray() { Wipe(bytes_); }

  SecretArray Clone() const {
    SecretArray copy;
    copy.bytes_ = bytes_;
    return copy;
  }
  std::span<const std::byte, N> view() const noexcept { return bytes_; }
  std::span<std::byte, N> mutable_view() noexcept { return bytes_; }

 private:
  std::array<std::byte, N> bytes_{};
};

}  // namespace demur
