#include "server/grpc/raw_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ladder/tune/v1/service.pb.h"

namespace ladder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

using Split = std::optional<std::vector<std::string_view>>;

// Bytes with zeros among them.
template <size_t N>
std::string Bytes(const char (&text)[N]) {
  return std::string(text, N - 1);
}

// What is no message to protobuf must be none here, and the other way round.
void ExpectAsProtobufDoes(const std::string& bytes, bool is_message) {
  tune::v1::BatchLookupRequest message;
  EXPECT_EQ(message.ParseFromString(bytes), is_message) << testing::PrintToString(bytes);
  EXPECT_EQ(SplitMessages(bytes).has_value(), is_message) << testing::PrintToString(bytes);
}

TEST(SplitMessagesTest, GivesTheBytesOfEachItem) {
  EXPECT_THAT(SplitMessages(""), Optional(IsEmpty()));
  EXPECT_THAT(SplitMessages(Bytes("\x0a\x00")), Optional(ElementsAre("")));
  EXPECT_THAT(SplitMessages(Bytes("\x0a\x02"
                                  "ab\x0a\x00\x0a\x01"
                                  "c")),
              Optional(ElementsAre("ab", "", "c")));
  // A length written longer than it need be.
  EXPECT_THAT(SplitMessages(Bytes("\x0a\x82\x80\x00"
                                  "ab")),
              Optional(ElementsAre("ab")));
}

TEST(SplitMessagesTest, GivesWhatProtobufWrote) {
  tune::v1::BatchLookupRequest batch;
  for (const char* target : {"h200", "", "sm_90"}) {
    batch.add_requests()->set_target(target);
    batch.mutable_requests(batch.requests_size() - 1)->mutable_op()->set_n(8192);
  }
  const std::string bytes = batch.SerializeAsString();
  const Split items = SplitMessages(bytes);
  ASSERT_TRUE(items.has_value());
  ASSERT_EQ(items->size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ((*items)[static_cast<size_t>(i)], batch.requests(i).SerializeAsString());
}

// The bound is the caller's to hold, who says how many there were.
TEST(SplitMessagesTest, GivesMoreItemsThanABatchMayHave) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += Bytes("\x0a\x00");
  const Split items = SplitMessages(bytes);
  ASSERT_TRUE(items.has_value());
  EXPECT_EQ(items->size(), 5000u);
}

TEST(SplitMessagesTest, RefusesWhatEndsEarly) {
  for (const std::string& bytes : {Bytes("\x0a"), Bytes("\x8a"), Bytes("\x0a\x80"),
                                   Bytes("\x0a\x05"
                                         "abcd"),
                                   Bytes("\x0a\x00\x0a"), Bytes("\x0a\x00\x0a\x01"), Bytes("\x10"), Bytes("\x10\x80"),
                                   Bytes("\x19\x00\x00"), Bytes("\x1d\x00\x00\x00"),
                                   Bytes("\x12\x02"
                                         "a")}) {
    ExpectAsProtobufDoes(bytes, false);
  }
}

TEST(SplitMessagesTest, RefusesLengthsThatNoMessageHas) {
  for (const std::string& bytes :
       {Bytes("\x0a\xff\xff\xff\xff\x07"), Bytes("\x0a\xff\xff\xff\xff\x0f"), Bytes("\x0a\x80\x80\x80\x80\x10"),
        Bytes("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        Bytes("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}) {
    ExpectAsProtobufDoes(bytes, false);
  }
}

// Protobuf takes five bytes of a tag or a length at most, even where those that follow are zeros.
TEST(SplitMessagesTest, RefusesTagsAndLengthsWrittenTooLong) {
  for (const std::string& bytes : {Bytes("\x8a\x80\x80\x80\x80\x00\x00"), Bytes("\x0a\x80\x80\x80\x80\x80\x00"),
                                   Bytes("\x80\xff\xff\xff\xff\xff\x3b\x00"), Bytes("\x12\x80\x80\x80\x80\x80\x00"),
                                   Bytes("\x13\x90\x80\x80\x80\x80\x00\x01\x14")}) {
    ExpectAsProtobufDoes(bytes, false);
  }
  ExpectAsProtobufDoes(Bytes("\x8a\x80\x80\x80\x00\x80\x80\x80\x80\x00"), true);
}

TEST(SplitMessagesTest, PassesOverFieldsItDoesNotKnow) {
  // Field 2 in every form, then field 1 as a number, which is not the field that is meant.
  const std::string others = Bytes("\x10\x96\x01\x11\x01\x02\x03\x04\x05\x06\x07\x08\x12\x03xyz\x13\x0a\x01q\x14\x15") +
                             Bytes("\x01\x02\x03\x04\x08\x07");
  ExpectAsProtobufDoes(others, true);
  EXPECT_THAT(SplitMessages(others), Optional(IsEmpty()));
  const std::string between = Bytes(
                                  "\x0a\x01"
                                  "a") +
                              others +
                              Bytes(
                                  "\x0a\x01"
                                  "b");
  EXPECT_THAT(SplitMessages(between), Optional(ElementsAre("a", "b")));
}

TEST(SplitMessagesTest, RefusesFieldsThatNoMessageHas) {
  for (const std::string& bytes : {Bytes("\x00"), Bytes("\x0a\x00\x00"), Bytes("\x02\x00"), Bytes("\x00\x0a\x00"),
                                   Bytes("\x0e"), Bytes("\x0f\x00"), Bytes("\x17")}) {
    ExpectAsProtobufDoes(bytes, false);
  }
}

TEST(SplitMessagesTest, RefusesGroupsThatDoNotEndWhereTheyShould) {
  for (const std::string& bytes : {Bytes("\x13"), Bytes("\x14"), Bytes("\x13\x1c"), Bytes("\x13\x13\x14"),
                                   Bytes("\x0a\x00\x0c"), Bytes("\x0b\x0a\x00")}) {
    ExpectAsProtobufDoes(bytes, false);
  }
  ExpectAsProtobufDoes(Bytes("\x13\x14"), true);
  // Groups in groups end at protobuf's own depth, not with the stack.
  ExpectAsProtobufDoes(std::string(100, '\x13') + std::string(100, '\x14'), true);
  ExpectAsProtobufDoes(std::string(101, '\x13') + std::string(101, '\x14'), false);
  ExpectAsProtobufDoes(std::string(1000000, '\x13') + std::string(1000000, '\x14'), false);
}

TEST(AppendFieldTest, WritesWhatProtobufReads) {
  tune::v1::LookupRequest request;
  request.set_target(std::string(300, 't'));
  std::string bytes;
  AppendField(1, request.SerializeAsString(), bytes);
  AppendField(1, "", bytes);
  tune::v1::BatchLookupRequest batch;
  ASSERT_TRUE(batch.ParseFromString(bytes));
  ASSERT_EQ(batch.requests_size(), 2);
  EXPECT_EQ(batch.requests(0).target(), request.target());
  EXPECT_EQ(batch.SerializeAsString(), bytes);
  EXPECT_EQ(FieldSize(1, 0) + FieldSize(1, request.ByteSizeLong()), bytes.size());
}

TEST(ShareTest, KeepsItsOwnerUntilTheMessageIsGone) {
  auto owner = std::make_shared<const std::string>(100000, 'x');
  const std::weak_ptr<const std::string> watched = owner;
  {
    grpc::ByteBuffer message = Share(owner, *owner);
    owner.reset();
    EXPECT_FALSE(watched.expired());
    const std::optional<grpc::Slice> slice = Flatten(message);
    ASSERT_TRUE(slice.has_value());
    EXPECT_EQ(View(*slice), std::string(100000, 'x'));
  }
  EXPECT_TRUE(watched.expired());
  const auto empty = std::make_shared<const std::string>();
  EXPECT_EQ(Share(empty, *empty).Length(), 0u);
}

TEST(FlattenTest, JoinsAMessageThatCameInPieces) {
  const std::vector<grpc::Slice> pieces = {grpc::Slice("one "), grpc::Slice("message")};
  const std::optional<grpc::Slice> whole = Flatten(grpc::ByteBuffer(pieces.data(), pieces.size()));
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(View(*whole), "one message");
}

}  // namespace
}  // namespace ladder
