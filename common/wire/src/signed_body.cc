#include "demur/wire/signed_body.h"

#include "flat_reader.h"
#include "schema/signed_body.capnp.h"

namespace demur::wire {

Bytes Encode(const SignedBody& message) {
  capnp::MallocMessageBuilder builder(
      internal::FirstSegmentWords(message.body.size(), kSignatureLen));
  auto root = builder.initRoot<schema::SignedBody>();
  root.setBody(internal::AsData(message.body));
  root.setSignature(internal::AsData(message.signature));
  return internal::Flatten(builder);
}

Result<SignedBody> DecodeSignedBody(ByteView bytes, std::size_t max_body_len) {
  const auto convert = [max_body_len](schema::SignedBody::Reader reader) -> Result<SignedBody> {
    SignedBody out;
    if (!internal::CopyExactly(reader.getSignature(), &out.signature)) {
      return internal::FieldOutOfRange("signature");
    }
    if (!internal::CopyAtMost(reader.getBody(), max_body_len, &out.body) || out.body.empty()) {
      return internal::FieldOutOfRange("body");
    }
    return out;
  };
  return internal::ReadFlat<schema::SignedBody>(bytes, {}, convert);
}

}  // namespace demur::wire
